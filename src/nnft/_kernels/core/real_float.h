/* The working precision of the files included next: float. Undone by real_undo.h. */
#define REAL float
#define VR vf
#define VR_LANES 16
#define R_(operation) vf_##operation
#define FN(name) name##_f
#define R_GROUP NNFT_GROUP_F
#define R_EPSILON 0x1p-23
