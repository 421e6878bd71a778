__import__('sys').stdout.reconfigure(line_buffering=True)
__import__('sys').exit(_run(globals(), __import__('sys').argv[:], globals().get('_strict')))
