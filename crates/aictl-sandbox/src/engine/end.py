def _end(code, known, names):
    # Ends the process as Python does, but for what was here before the script: to take that apart
    # takes long, and nobody sees it.
    import gc, sys
    try:
        _end_soon(code, known, names)
    except BaseException:
        # Whatever the script has made of what is used here.
        pass
    gc.unfreeze()
    sys.exit(code)
def _end_soon(code, known, names):
    # Returns where Python has to do it.
    import _io, _signal, _weakref, atexit, builtins, gc, os, sys
    modules, of_sys, module_type = sys.modules, vars(sys), type(sys)
    native = modules['_frozen_importlib_external'].ExtensionFileLoader
    # The latest come last. None of those before them is touched: each is in memory that a copy would
    # have to copy first.
    count, last, _ = known
    new = []
    for name in reversed(modules):
        if name == last:
            break
        new.append(name)
    new.reverse()
    if len(modules) != count + len(new):
        return
    def is_native(module):
        # What is not Python's own may have something to do at the end of the process.
        if not issubclass(type(module), module_type):
            return True
        of = object.__getattribute__(module, '__dict__')
        return issubclass(type(of.get('__loader__')), native) or of.get('__name__') == '_ctypes'
    def holds_output():
        # Python closes files in an order that this end does not know.
        kinds = _io.TextIOWrapper, _io.BufferedWriter, _io.BufferedRandom, _io.BufferedRWPair
        # By type: an object can say that it is of another class, or run code when it is asked.
        return any(issubclass(type(one), kinds) and not one.closed for one in gc.get_objects())
    threading = modules.get('threading')
    shown = print, open, input, __import__, __build_class__
    if (any(is_native(modules[name]) for name in new)
            or threading and threading.active_count() > 1
            or type(code) is int and not -1 << 63 <= code < 1 << 63
            or sys.version_info < (3, 10) or (len(vars(builtins)), shown) != names[:2]
            or holds_output()):
        return
    if threading:
        threading._shutdown()
    atexit._run_exitfuncs()
    if threading is not modules.get('threading') or threading and threading.active_count() > 1:
        return
    def flushed():
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None and not stream.closed:
                    stream.flush()
            return True
        except Exception:
            return False
    if holds_output() or not flushed():
        return
    for name in ('path', 'argv', 'ps1', 'ps2', 'last_type', 'last_value', 'last_traceback',
                 'path_importer_cache', 'meta_path', 'path_hooks'):
        if name in of_sys:
            of_sys[name] = None
    for name in ('stdin', 'stdout', 'stderr'):
        of_sys[name] = of_sys.get(f'__{name}__')
    left, main = [], id(vars(modules['__main__']))
    for name in ['__main__', *new]:
        if name != '__main__':
            left.append(_weakref.ref(modules[name]))
        modules[name] = None
    gc.collect()
    def clear(of):
        # In the order in which Python forgets them.
        for private in (True, False):
            for name in list(of):
                if (name[:1] == '_' != name[1:2]) == private and name != '__builtins__':
                    of[name] = None
    while left:
        module = left.pop()()
        if module is not None:
            clear(vars(module))
        module = None
    # Somebody that no collector sees may hold one of its functions.
    for one in gc.get_objects():
        if id(one) == main and type(one) is dict and one.get('__name__') == '__main__':
            clear(one)
            break
    one = None
    if len(of_sys) > names[2] or any(
            of_sys[hook] is not of_sys[f'__{hook}__']
            for hook in ('displayhook', 'excepthook', 'unraisablehook')):
        streams = sys.stdout, sys.stderr
        clear(of_sys)
        gc.collect()
        of_sys.update(stdout=streams[0], stderr=streams[1])
    status = (code or 0) & 255 if flushed() else 120
    if not status:
        # Who reads there looks then whether this is the end, so that nobody waits for the kernel's
        # part of it.
        os.closerange(1, 3)
        if names[3]:
            # What it has used can be seen only while it lives: it waits to be told that it was.
            _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGURG])
            _signal.sigtimedwait([_signal.SIGURG], 0.002)
    os._exit(status)
