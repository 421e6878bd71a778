def _run(main, argv, strict):
    import atexit, os, sys
    send, allowed, path = argv[1:4]
    for name in ('_run', '_strict'):
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
    except Exception as error:
        trace = error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 1
