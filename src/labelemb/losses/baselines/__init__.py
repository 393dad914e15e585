"""Training methods of other papers. One file each: loss module, options and ``METHOD``, which describes it."""
