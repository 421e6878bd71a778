def _(main):
    import atexit, os, sys
    send = sys.argv[1]
    del sys.argv[:2], main['_']
    path = main['__file__'] = sys.argv[0]
    sys.path[0] = os.path.dirname(path)
    sys.stdout.reconfigure(line_buffering=True)
    if send:
        os.set_inheritable(3, False)
        # As they are now: a profile may leave less of them to the script.
        run, builtins = exec, main['__builtins__']
        atexit.register(lambda: 'result' in main and run(
            send, {'result': main['result'], '__builtins__': builtins}))
    try:
        with open(path, 'rb') as file:
            code = compile(file.read(), path, 'exec', 0, True)
        if '_strict' in main:
            main.pop('_strict')(main)
        exec(code, main)
    except Exception as error:
        trace = error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.exit(1)
_(globals())
