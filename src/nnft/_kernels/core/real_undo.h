#undef REAL
#undef VR
#undef VR_LANES
#undef R_
#undef FN
#undef R_GROUP
#undef R_EPSILON
