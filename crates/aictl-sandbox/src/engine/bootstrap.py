def _(main):
    import atexit, os, sys
    send = sys.argv[1]
    del sys.argv[:2], main['_']
    path = main['__file__'] = sys.argv[0]
    sys.path[0] = os.path.dirname(path)
    sys.stdout.reconfigure(line_buffering=True)
    os.set_inheritable(3, False)
    atexit.register(lambda: 'result' in main and exec(send, {'result': main['result']}))
    try:
        with open(path, 'rb') as file:
            code = compile(file.read(), path, 'exec', 0, True)
        exec(code, main)
    except Exception as error:
        trace = error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.exit(1)
_(globals())
