def _strict(main, data):
    import builtins
    modules, _, forbidden = data.partition(' ')
    modules, forbidden = modules.split(','), forbidden.split(',')
    load = builtins.__import__
    def allowed(name):
        parts = name.split('.')
        public = name != 'json.tool' and not any(part.startswith('_') for part in parts)
        above = ['.'.join(parts[:end]) for end in range(1, len(parts))]
        return (name in modules or name == '__future__'
                or public and any(module in modules for module in above))
    def __import__(name, globals=None, locals=None, fromlist=(), level=0):
        # Python's own C code asks in the name of whom it works for, as strftime does for time, and
        # keeps what it gets. It alone passes a list (PyImport_Import).
        if level == 0 and (allowed(name) or fromlist == [] and type(fromlist) is list):
            return load(name, globals, locals, fromlist, level)
        raise ImportError(f'the profile strict does not allow the module {name}', name=name)
    inside = {name: value for name, value in vars(builtins).items() if name not in forbidden}
    inside.update(__import__=__import__, __loader__=None, __spec__=None)
    main.update(__builtins__=inside, __loader__=None, __spec__=None)
