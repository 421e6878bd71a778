//! Names that are not for scripts, and what to write instead.

use aictl_api::strict::FORBIDDEN_BUILTINS;

/// Attributes that lead from a value to the code, the frames or the classes behind it.
const INNER: [&str; 55] = [
    // Frames, and ways to them.
    "ag_await",
    "ag_code",
    "ag_frame",
    "ag_running",
    "ag_suspended",
    "cr_await",
    "cr_code",
    "cr_frame",
    "cr_origin",
    "cr_running",
    "cr_suspended",
    "gi_code",
    "gi_frame",
    "gi_running",
    "gi_suspended",
    "gi_yieldfrom",
    "tb_frame",
    "tb_lasti",
    "tb_next",
    "f_back",
    "f_builtins",
    "f_code",
    "f_generator",
    "f_globals",
    "f_lasti",
    "f_locals",
    "f_trace",
    // Code.
    "co_code",
    "co_consts",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_filename",
    "func_closure",
    "func_code",
    "func_defaults",
    "func_dict",
    "func_globals",
    "im_class",
    "im_func",
    "im_self",
    "cell_contents",
    // Classes, and what makes others their instances.
    "mro",
    "register",
    "_is_protocol",
    "_is_runtime_protocol",
    // What an AttributeError was about: a module, for one.
    "obj",
    // What a type's text says, evaluated.
    "evaluate_value",
    // What turns text into code, or looks into any module by its name.
    "_convert_",
    "_create_",
    "_evaluate",
    "_exec_module",
    "_load_module",
    "load_module",
];

/// Methods with two underscores that operators and statements call: a class may define them, and
/// call them of its parent.
const METHODS: [&str; 88] = [
    "__abs__",
    "__add__",
    "__aenter__",
    "__aexit__",
    "__aiter__",
    "__and__",
    "__anext__",
    "__await__",
    "__bool__",
    "__bytes__",
    "__call__",
    "__ceil__",
    "__complex__",
    "__contains__",
    "__delitem__",
    "__divmod__",
    "__enter__",
    "__eq__",
    "__exit__",
    "__float__",
    "__floor__",
    "__floordiv__",
    "__format__",
    "__ge__",
    "__getitem__",
    "__gt__",
    "__hash__",
    "__iadd__",
    "__iand__",
    "__ifloordiv__",
    "__ilshift__",
    "__imatmul__",
    "__imod__",
    "__imul__",
    "__index__",
    "__init__",
    "__init_subclass__",
    "__int__",
    "__invert__",
    "__ior__",
    "__ipow__",
    "__irshift__",
    "__isub__",
    "__iter__",
    "__itruediv__",
    "__ixor__",
    "__le__",
    "__len__",
    "__length_hint__",
    "__lshift__",
    "__lt__",
    "__matmul__",
    "__missing__",
    "__mod__",
    "__mul__",
    "__ne__",
    "__neg__",
    "__new__",
    "__next__",
    "__or__",
    "__pos__",
    "__post_init__",
    "__pow__",
    "__radd__",
    "__rand__",
    "__rdivmod__",
    "__repr__",
    "__reversed__",
    "__rfloordiv__",
    "__rlshift__",
    "__rmatmul__",
    "__rmod__",
    "__rmul__",
    "__ror__",
    "__round__",
    "__rpow__",
    "__rrshift__",
    "__rshift__",
    "__rsub__",
    "__rtruediv__",
    "__rxor__",
    "__set_name__",
    "__sizeof__",
    "__str__",
    "__sub__",
    "__truediv__",
    "__trunc__",
    "__xor__",
];

/// Other such methods that a class may define, and nobody call by name: what they do for attributes,
/// they would do for any.
const DEFINED: [&str; 9] = [
    "__class_getitem__",
    "__copy__",
    "__deepcopy__",
    "__delete__",
    "__get__",
    "__getattr__",
    "__set__",
    "__setattr__",
    "__delattr__",
];

/// Such names that are texts, and say nothing that is not in the script.
const TEXTS: [&str; 3] = ["__name__", "__qualname__", "__doc__"];

/// Such names that a module or a class sets, or asks for.
const VARIABLES: [&str; 8] = [
    "__name__",
    "__doc__",
    "__debug__",
    "__all__",
    "__version__",
    "__author__",
    "__slots__",
    "__hash__",
];

/// What is wrong with a name or an attribute, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    pub instead: &'static str,
}

fn wrong(message: String, instead: &'static str) -> Option<Wrong> {
    Some(Wrong { message, instead })
}

/// Whether a name is one of Python's own, as `__class__` is.
pub fn is_dunder(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

fn is_sunder(name: &str) -> bool {
    name.len() > 2 && name.starts_with('_') && name.ends_with('_') && !name.starts_with("__")
}

/// A name that is read or set.
pub fn name(name: &str) -> Option<Wrong> {
    if FORBIDDEN_BUILTINS.contains(&name) {
        return wrong(format!("the name {} is not for scripts", plain(name)), instead_of(name));
    }
    if INNER.contains(&name) {
        return inner(name);
    }
    if is_dunder(name) && !VARIABLES.contains(&name) {
        let instead = match name {
            "__import__" => "write an import statement",
            _ => "leave it out",
        };
        return wrong(format!("the name {} is Python's own", plain(name)), instead);
    }
    None
}

/// A name that a function or a class is given.
pub fn definition(defined: &str) -> Option<Wrong> {
    if METHODS.contains(&defined) || DEFINED.contains(&defined) { None } else { name(defined) }
}

/// A name that a class gives a function.
pub fn method(defined: &str) -> Option<Wrong> {
    if FORBIDDEN_BUILTINS.contains(&defined) { None } else { definition(defined) }
}

/// An attribute that is read or set.
pub fn attribute(name: &str) -> Option<Wrong> {
    if INNER.contains(&name) {
        return inner(name);
    }
    if is_dunder(name) && !METHODS.contains(&name) && !TEXTS.contains(&name) {
        let instead = match name {
            "__class__" => {
                "write type(x).__name__ for the name of a class, isinstance(x, C) to ask"
            }
            "__dict__" => "name the attributes that you want",
            _ => "leave it out",
        };
        return wrong(format!("the attribute {} is Python's own", plain(name)), instead);
    }
    // What enumerations know by such a name; the rest is how they are made.
    let known = ["_value_", "_name_", "_missing_", "_order_", "_ignore_", "_generate_next_value_"];
    if is_sunder(name) && !known.contains(&name) {
        return wrong(format!("the attribute {} is not for scripts", plain(name)), "leave it out");
    }
    None
}

fn inner(name: &str) -> Option<Wrong> {
    wrong(format!("{} leads to the inside of Python", plain(name)), "leave it out")
}

fn instead_of(name: &str) -> &'static str {
    match name {
        "eval" => "write the expression itself; for data, json.loads",
        "exec" | "compile" => "write the code itself, in a function",
        "getattr" => "write x.name, or keep the values in a dict",
        "setattr" | "delattr" => "write x.name = value, or keep the values in a dict",
        "globals" | "locals" | "vars" => "keep the values in a dict of your own",
        "dir" | "help" => "leave it out",
        "open" => "write the data into the script, and print what comes out of it",
        "input" => "write the data into the script",
        "breakpoint" => "print what you want to see",
        _ => "call it otherwise",
    }
}

/// A text out of a script as it can stand in a message: short, on one line, and nothing that acts on
/// a terminal.
pub fn plain(text: &str) -> String {
    let mut shown: String = text.chars().take(200).flat_map(shown_char).collect();
    if text.chars().nth(200).is_some() {
        shown.push('…');
    }
    shown
}

fn shown_char(c: char) -> Vec<char> {
    match c {
        '"' | '\'' | '\\' => vec![c],
        _ => c.escape_debug().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_no_name_twice() {
        for table in [&INNER[..], &METHODS, &DEFINED, &TEXTS, &VARIABLES] {
            let mut sorted = table.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), table.len(), "{table:?}");
        }
    }
}
