//! The extension module that `aictl-sandboxd` has a template load: a Python interpreter that makes
//! copies of itself, each in a sandbox of its own, which then run one script each.
//!
//! Only sandboxd's own code imports it, before any script is there; how it is used stands in
//! `copy.py` of `aictl-sandbox`, and what it does in that crate, which has all of the sandbox.

use aictl_sandbox::{TemplateCopy, TemplateOriginal};
use pyo3::{exceptions::PyRuntimeError, prelude::*};

/// The file name of the shared object.
pub const FILE_NAME: &str = "libaictl_template.so";

/// The template, as it knows itself.
#[pyclass(unsendable)]
struct Original(TemplateOriginal);

#[pymethods]
impl Original {
    /// Prepares this process for being copied.
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self(TemplateOriginal::new()?))
    }

    /// Makes copies of this process as it is asked to, for ever: returns in each of them.
    fn serve(&self) -> Copy {
        Copy(Some(self.0.serve()))
    }
}

/// A copy: the first process of a sandbox, and then the program's as well.
#[pyclass(unsendable)]
struct Copy(Option<TemplateCopy>);

impl Copy {
    fn take(&mut self) -> PyResult<TemplateCopy> {
        self.0.take().ok_or_else(|| PyRuntimeError::new_err("it has gone on already"))
    }
}

#[pymethods]
impl Copy {
    /// Stays the sandbox's first process, which has forked `program`; never returns.
    fn stay(&mut self, program: i32) -> PyResult<()> {
        self.take()?.stay(program)
    }

    /// Goes on as the program's process, with all layers around it.
    fn enter(&mut self) -> PyResult<()> {
        self.take()?.enter();
        Ok(())
    }
}

#[pymodule(name = "aictl_template")]
mod module {
    #[pymodule_export]
    use super::{Copy, Original};
}
