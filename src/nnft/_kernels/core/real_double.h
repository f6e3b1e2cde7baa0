/* The working precision of the files included next: double. Undone by real_undo.h. */
#define REAL double
#define VR vd
#define VR_LANES 8
#define R_(operation) vd_##operation
#define FN(name) name##_d
#define R_GROUP NNFT_GROUP_D
#define R_EPSILON 0x1p-52
