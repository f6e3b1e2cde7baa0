/* Programs with one deliberate fault each: the sanitizers must stop them, and let `clean` pass.
 *
 * A sanitizer that was not linked, or was told to go on, makes every other test here worthless;
 * the Makefile runs these first and wants the exit code of a report.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

static int heap_overflow(int index)
{
    int *p = malloc(8 * sizeof *p);
    memset(p, 1, 8 * sizeof *p);
    int found = p[index + 8];
    free(p);
    return found;
}

static int stack_overflow(int index)
{
    int p[8];
    memset(p, 1, sizeof p);
    volatile int *q = p;
    return q[index + 8];
}

static int use_after_free(int index)
{
    int *p = malloc(8 * sizeof *p);
    memset(p, 1, 8 * sizeof *p);
    free(p);
    volatile int *q = p;
    return q[index];
}

static int signed_overflow(int index)
{
    volatile int largest = INT_MAX - index;
    return largest + 1 + index;
}

static int shift_too_far(int index)
{
    volatile int bits = 40 + index;
    return 1 << bits;
}

/* The core draws one group of 16 normals into room for 15: shows that the core's own vector stores
 * are watched, on the named instruction set. */
static int core_overflow(const char *name)
{
    for (int isa = 0; isa < NNFT_ISA_COUNT; isa++) {
        const nnft_core_table *core = nnft_core(isa);
        if (!core || strcmp(core->name, name) != 0) continue;
        double *p = malloc(15 * sizeof *p);
        core->normals_d(1, 1, 1, 0, 1, p);
        int found = p[0] > 0;
        free(p);
        return found;
    }
    exit(77);
}

int main(int argc, char **argv)
{
    const char *fault = argc > 1 ? argv[1] : "";
    int zero = argc - 2, found = 0;
    if (strcmp(fault, "heap") == 0) found = heap_overflow(zero);
    else if (strcmp(fault, "stack") == 0) found = stack_overflow(zero);
    else if (strcmp(fault, "freed") == 0) found = use_after_free(zero);
    else if (strcmp(fault, "signed") == 0) found = signed_overflow(zero);
    else if (strcmp(fault, "shift") == 0) found = shift_too_far(zero);
    else if (strcmp(fault, "clean") != 0) found = core_overflow(fault);
    printf("%s: ran to the end (%d)\n", fault, found);
    return 0;
}
