/* fastfc's core: fully connected network training, float32 and float64.
 *
 * This is its whole interface.  The core knows nothing of Python.  Its operations stand in a table
 * for each (instruction set, dtype); fc_isa_use chooses the pair that fc_f32 and fc_f64 point to.
 *
 * Every array is dense, row-major and aligned to its element; sizes are in elements and may be 0.
 * The caller has checked all of it: operations cannot fail, and they neither allocate nor print. */
#ifndef FASTFC_H
#define FASTFC_H

#include <stddef.h>
#include <stdint.h>

/* The state of NumPy's MT19937 bit generator, as it lies in memory. */
typedef struct {
    uint32_t key[624];
    int pos;
} fc_mt19937;

#define real float
#define fc_kernels fc_kernels_f32
#include "table.h"
#undef real
#undef fc_kernels

#define real double
#define fc_kernels fc_kernels_f64
#include "table.h"
#undef real
#undef fc_kernels

/* Bytes of scratch memory, aligned to 64, that one call of an affine operation needs, at any size.
 */
#define FC_WORKSPACE_BYTES ((size_t)1 << 20)

/* The tables in use. */
extern const fc_kernels_f32 *fc_f32;
extern const fc_kernels_f64 *fc_f64;

/* The instruction sets that were built, slowest first. */
int fc_isa_count(void);
const char *fc_isa_name(int isa);
/* Whether this machine can run it. */
int fc_isa_available(int isa);
/* Points the tables at an available instruction set; 0, or -1 and no change if there is none such.
 */
int fc_isa_use(int isa);

#endif
