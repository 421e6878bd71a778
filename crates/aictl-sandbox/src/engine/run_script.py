def _run(main, argv, strict):
    import atexit, os, sys
    send, allowed, path = argv[1:4]
    show = _show
    for name in ('_run', '_show', '_strict'):
        main.pop(name, None)
    sys.argv[:] = argv[3:]
    load = sys.modules['_frozen_importlib_external']
    compiled = path.endswith('.pyc')
    loader = load.SourcelessFileLoader if compiled else load.SourceFileLoader
    main['__file__'] = path
    main['__loader__'] = loader('__main__', path)
    if sys.version_info < (3, 15):
        main['__cached__'] = None
    sys.path[0] = os.path.dirname(path)
    if send:
        os.set_inheritable(3, False)
        # As they are now: a profile may leave less of them to the script.
        run, builtins, me, pid = exec, main['__builtins__'], os.getpid(), os.getpid
        atexit.register(lambda: pid() == me and 'result' in main and run(
            send, {'result': main['result'], '__builtins__': builtins}))
    failed = None
    try:
        with open(path, 'rb') as file:
            text = file.read()
        if not compiled:
            code = compile(text, path, 'exec', 0, True)
        elif text.startswith(load.MAGIC_NUMBER):
            code = __import__('marshal').loads(text[16:])
        else:
            raise RuntimeError('Bad magic number in .pyc file')
        del text
        if allowed:
            strict(main, allowed)
        exec(code, main)
    except SystemExit as error:
        # Anything else is a message, which Python prints.
        if error.code is None or type(error.code) is int:
            return error.code
        raise
    except BaseException as error:
        failed = error
        BaseException.with_traceback(failed, failed.__traceback__.tb_next)
    # Here, where none is at work that another would be shown with.
    return None if failed is None else show(failed)
def _show(failed):
    # Has the script's last exception shown as Python does, without what has called the script.
    import os, sys
    kind, trace = type(failed), failed.__traceback__
    sys.last_type, sys.last_value, sys.last_traceback = kind, failed, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = failed
    hook = vars(sys).get('excepthook')
    if 'excepthook' not in vars(sys):
        os.write(2, b'sys.excepthook is missing\n')
        hook = sys.__excepthook__
    again = None
    try:
        hook(kind, failed, trace)
    except SystemExit as error:
        if error.code is None or type(error.code) is int:
            return error.code
        raise
    except BaseException as error:
        again = error
        BaseException.with_traceback(again, again.__traceback__.tb_next)
    if again is not None:
        os.write(2, b'Error in sys.excepthook:\n')
        sys.__excepthook__(type(again), again, again.__traceback__)
        os.write(2, b'\nOriginal exception was:\n')
        sys.__excepthook__(kind, failed, trace)
    if kind is KeyboardInterrupt:
        # Python's own end by this is one by a signal; it has been shown.
        sys.excepthook = lambda *_: None
        raise failed
    return 1
