/* The core in plain C, for any machine. */
#define NNFT_PORTABLE
#define NNFT_NAME "portable"
#define NNFT_CORE_TABLE nnft_table_portable
#include "isa_body.h"
