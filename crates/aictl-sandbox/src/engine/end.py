def _end(code, known, names):
    # Ends the process as Python does, but for what was here before the script: to take that apart
    # takes long, and nobody sees it.
    import _weakref, atexit, builtins, gc, os, sys
    modules, of_sys = sys.modules, vars(sys)
    load = modules['_frozen_importlib_external']
    new = [name for name in modules if name not in known]
    # What is not Python's own may have something to do at the end of the process.
    native = any(isinstance(getattr(modules[name], '__loader__', None), load.ExtensionFileLoader)
                 for name in new)
    threading = modules.get('threading')
    shown = print, open, input, __import__, __build_class__
    if (native or threading and threading.active_count() > 1 or sys.version_info < (3, 10)
            or (len(vars(builtins)), shown) != names[:2]):
        sys.exit(code)
    if threading:
        threading._shutdown()
    atexit._run_exitfuncs()
    def flushed():
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None and not stream.closed:
                    stream.flush()
            return True
        except Exception:
            return False
    if not flushed():
        sys.exit(code)
    for name in ('path', 'argv', 'ps1', 'ps2', 'last_type', 'last_value', 'last_traceback',
                 'path_importer_cache', 'meta_path', 'path_hooks'):
        if name in of_sys:
            of_sys[name] = None
    for name in ('stdin', 'stdout', 'stderr'):
        of_sys[name] = of_sys.get(f'__{name}__')
    left = []
    for name in ['__main__', *new]:
        module = modules.get(name)
        if isinstance(module, type(sys)) and name != '__main__':
            left.append(_weakref.ref(module))
        modules[name] = module = None
    gc.collect()
    def clear(of):
        # In the order in which Python forgets them.
        for private in (True, False):
            for name in list(of):
                if (name[:1] == '_' != name[1:2]) == private and name != '__builtins__':
                    of[name] = None
    while left:
        module = left.pop()()
        if module:
            clear(vars(module))
        module = None
    if len(of_sys) > names[2] or any(
            of_sys[hook] is not of_sys[f'__{hook}__']
            for hook in ('displayhook', 'excepthook', 'unraisablehook')):
        streams = sys.stdout, sys.stderr
        clear(of_sys)
        gc.collect()
        of_sys.update(stdout=streams[0], stderr=streams[1])
    os._exit((code or 0) & 255 if flushed() else 120)
