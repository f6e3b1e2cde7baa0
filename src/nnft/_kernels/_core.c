/* Python binding of the C core: addresses for Numba, and a few functions for tests and scripts.
 * Limited API; arrays come in through the buffer protocol. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "core/activation_kinds.h"
#include "core/api.h"
#include "core/training_header.h"

/* a table by name; "auto" is the best one; NULL with an exception set */
static const nnft_core_table *find_table(const char *name)
{
    if (!strcmp(name, "auto")) return nnft_core(nnft_best_isa());
    for (int isa = 0; isa < NNFT_ISA_COUNT; isa++) {
        const nnft_core_table *table = nnft_core(isa);
        if (table && !strcmp(table->name, name)) return table;
    }
    PyErr_Format(PyExc_ValueError, "instruction set: got '%s'; this machine has those of isa_names()", name);
    return NULL;
}

static PyObject *isa_names(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    PyObject *list = PyList_New(0);
    for (int isa = 0; list && isa < NNFT_ISA_COUNT; isa++) {
        const nnft_core_table *table = nnft_core(isa);
        if (!table) continue;
        PyObject *name = PyUnicode_FromString(table->name);
        if (!name || PyList_Append(list, name) < 0) Py_CLEAR(list);
        Py_XDECREF(name);
    }
    return list;
}

static PyObject *best_isa(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return PyUnicode_FromString(nnft_core(nnft_best_isa())->name);
}

static int put_address(PyObject *dict, const char *name, const void *address)
{
    PyObject *value = PyLong_FromVoidPtr((void *)address);
    int status = value ? PyDict_SetItemString(dict, name, value) : -1;
    Py_XDECREF(value);
    return status;
}

#define FUNCTION(field) put_address(dict, "nnft_" #field "_" NNFT_ABI, (const void *)table->field)

static PyObject *addresses(PyObject *self, PyObject *args)
{
    const char *name;
    (void)self;
    if (!PyArg_ParseTuple(args, "s", &name)) return NULL;
    const nnft_core_table *table = find_table(name);
    PyObject *dict = table ? PyDict_New() : NULL;
    if (!dict) return NULL;
    if (FUNCTION(words) || FUNCTION(normals_d) || FUNCTION(normals_f) || FUNCTION(activate_d) ||
        FUNCTION(activate_f) || FUNCTION(derivative_d) || FUNCTION(derivative_f) || FUNCTION(collapsed_d) ||
        FUNCTION(collapsed_f) || FUNCTION(explicit_d) || FUNCTION(explicit_f) || FUNCTION(accumulate) ||
        FUNCTION(factor) || FUNCTION(gradient_d) || FUNCTION(outputs_d) || FUNCTION(kernels_d) || FUNCTION(dot_d) ||
        FUNCTION(weighted_square_d) || FUNCTION(features_d) ||
        FUNCTION(noisy_step_d) || FUNCTION(waves_d) || FUNCTION(draw_waves_d) || FUNCTION(squared_slopes_d) ||
        FUNCTION(slopes_d) || FUNCTION(readout_moves_d) || FUNCTION(residual_steps_d))
        Py_CLEAR(dict);
    return dict;
}

static PyObject *normals(PyObject *self, PyObject *args)
{
    unsigned long long key, network, group;
    unsigned int tag;
    const char *name = "auto";
    Py_buffer out;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKIKw*|s", &key, &network, &tag, &group, &out, &name)) return NULL;
    const nnft_core_table *table = find_table(name);
    int per_group = out.itemsize == 8 ? 16 : 64;
    Py_ssize_t count = out.itemsize ? out.len / out.itemsize : 0;
    if (table && ((out.itemsize != 8 && out.itemsize != 4) || count % per_group)) {
        PyErr_Format(PyExc_ValueError,
                     "out: got %zd items of %zd bytes; give float64 (multiples of 16) or float32 (of 64)", count,
                     out.itemsize);
        table = NULL;
    }
    if (table) {
        Py_BEGIN_ALLOW_THREADS
        if (out.itemsize == 8) table->normals_d(key, network, tag, group, count / per_group, out.buf);
        else table->normals_f(key, network, tag, group, count / per_group, out.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&out);
    if (!table) return NULL;
    Py_RETURN_NONE;
}

static PyObject *words(PyObject *self, PyObject *args)
{
    unsigned long long key, network, group;
    unsigned int tag;
    const char *name = "auto";
    Py_buffer out;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKIKw*|s", &key, &network, &tag, &group, &out, &name)) return NULL;
    const nnft_core_table *table = find_table(name);
    if (table && (out.itemsize != 4 || out.len % 128)) {
        PyErr_Format(PyExc_ValueError, "out: got %zd bytes; give uint32, a multiple of 32 items", out.len);
        table = NULL;
    }
    if (table) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t g = 0; g < out.len / 128; g++)
            table->words(key, network, tag, group + (unsigned long long)g, (uint32_t *)out.buf + 32 * g);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&out);
    if (!table) return NULL;
    Py_RETURN_NONE;
}

static void run_activation(const nnft_core_table *table, int kind, int derivative, const double *parameters,
                           const Py_buffer *in, const Py_buffer *out)
{
    int64_t count = (int64_t)(in->len / in->itemsize);
    if (in->itemsize == 8)
        (derivative ? table->derivative_d : table->activate_d)(kind, parameters, count, in->buf, out->buf);
    else
        (derivative ? table->derivative_f : table->activate_f)(kind, parameters, count, in->buf, out->buf);
}

static PyObject *activate(PyObject *self, PyObject *args)
{
    int kind, derivative = 0;
    double p[4] = { 0, 0, 0, 0 };
    const char *name = "auto";
    Py_buffer in, out;
    (void)self;
    if (!PyArg_ParseTuple(args, "i(dddd)y*w*|ps", &kind, &p[0], &p[1], &p[2], &p[3], &in, &out, &derivative, &name))
        return NULL;
    const nnft_core_table *table = find_table(name);
    if (table && (in.itemsize != out.itemsize || in.len != out.len || (in.itemsize != 8 && in.itemsize != 4))) {
        PyErr_Format(PyExc_ValueError, "in, out: got %zd and %zd bytes; give two float64 or float32 arrays of one size",
                     in.len, out.len);
        table = NULL;
    }
    if (table && (kind < 0 || kind >= NNFT_ACTIVATION_COUNT)) {
        PyErr_Format(PyExc_ValueError, "activation kind: got %d; allowed 0 to %d", kind, NNFT_ACTIVATION_COUNT - 1);
        table = NULL;
    }
    if (table) {
        Py_BEGIN_ALLOW_THREADS
        run_activation(table, kind, derivative, p, &in, &out);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&in);
    PyBuffer_Release(&out);
    if (!table) return NULL;
    Py_RETURN_NONE;
}

static PyObject *work_size(PyObject *self, PyObject *args)
{
    Py_buffer header;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*", &header)) return NULL;
    int64_t size = header.len >= (NNFT_H_WIDTHS * 8) ? nnft_work_size(header.buf) : -1;
    PyBuffer_Release(&header);
    return PyLong_FromLongLong(size);
}

static PyObject *training_work_size(PyObject *self, PyObject *args)
{
    Py_buffer header;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*", &header)) return NULL;
    const int64_t *h = header.buf;
    int64_t size = -1;
    if (header.len >= NNFT_T_LAYER * 8 && h[NNFT_T_LAYERS] > 0 && h[NNFT_T_LAYERS] <= NNFT_MOST_LAYERS &&
        header.len >= (NNFT_T_LAYER + NNFT_T_NUMBERS * h[NNFT_T_LAYERS]) * 8)
        size = nnft_training_work_size(h);
    PyBuffer_Release(&header);
    return PyLong_FromLongLong(size);
}

static PyMethodDef methods[] = {
    { "isa_names", isa_names, METH_NOARGS, "Instruction sets that this machine and this build have." },
    { "best_isa", best_isa, METH_NOARGS, "The instruction set in use." },
    { "addresses", addresses, METH_VARARGS, "addresses(isa): symbol names and addresses for Numba." },
    { "words", words, METH_VARARGS, "words(key, network, tag, group, out, isa='auto'): raw Philox words." },
    { "normals", normals, METH_VARARGS, "normals(key, network, tag, group, out, isa='auto'): standard normals." },
    { "activate", activate, METH_VARARGS,
      "activate(kind, parameters, in, out, derivative=False, isa='auto'): an activation or its derivative." },
    { "work_size", work_size, METH_VARARGS, "work_size(header): float64 items of working memory." },
    { "training_work_size", training_work_size, METH_VARARGS,
      "training_work_size(header): float64 items of working memory of training; -1 for no header." },
    { NULL, NULL, 0, NULL },
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_core", "The C core of nnft.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__core(void)
{
    PyObject *m = PyModule_Create(&module);
    if (!m) return NULL;
    if (PyModule_AddIntConstant(m, "LANES", NNFT_LANES) || PyModule_AddStringConstant(m, "ABI", NNFT_ABI) ||
        PyModule_AddStringConstant(m, "COMPILER", __VERSION__))
        Py_CLEAR(m);
    return m;
}
