//! Table `[sandbox.strict]`: which part of Python the profile `strict` leaves to a script.

use super::{
    Setting, each_over,
    error::{ConfigError, Place, Problem},
    quoted,
    reader::{Entry, Reader},
    sandbox::written,
};
use crate::strict::{Imports, LIMITS, Policy};

/// What each limit of [`LIMITS`] is; the words of the example file.
pub(super) const ABOUT: [&str; LIMITS.len()] =
    ["Size of the script", "Nodes of its syntax tree", "How deep that nests"];

/// What [`super::Settings`] hold of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StrictSettings {
    pub imports: Option<Setting<Imports>>,
    pub limits: [Option<Setting<u64>>; LIMITS.len()],
}

impl StrictSettings {
    pub fn read(&mut self, reader: &Reader<'_>, table: &Entry<'_>) -> Result<(), ConfigError> {
        reader.each_of(table, |entry| {
            if entry.name == "imports" {
                let names = reader.texts(entry, "an array of modules such as [\"json\"]")?;
                let names = names.into_iter().map(str::to_owned).collect::<Vec<_>>();
                let imports = Imports::try_from(names)
                    .map_err(|error| reader.error(entry, Problem::Imports(error)))?;
                self.imports = Some(reader.setting(entry, imports));
                return Ok(());
            }
            let Some(index) = LIMITS.iter().position(|spec| spec.name == entry.name) else {
                let limits = LIMITS.iter().map(|spec| spec.name);
                return Err(reader.unknown(entry, ["imports"].into_iter().chain(limits).collect()));
            };
            self.limits[index] = Some(reader.limit(entry, &LIMITS[index])?);
            Ok(())
        })
    }

    pub fn over(self, earlier: Self) -> Self {
        Self {
            imports: self.imports.or(earlier.imports),
            limits: each_over(self.limits, earlier.limits),
        }
    }

    pub fn places(&self) -> impl Iterator<Item = (String, Place)> {
        let imports = self.imports.iter().map(|set| (set.key.clone(), set.place.clone()));
        let limits = self.limits.iter().flatten();
        imports.chain(limits.map(|set| (set.key.clone(), set.place.clone())))
    }

    pub fn build(self) -> Policy {
        let [source, nodes, depth] = [0, 1, 2].map(|index| {
            self.limits[index].as_ref().map_or(LIMITS[index].default, |set| set.value)
        });
        let imports = self.imports.map(|set| set.value).unwrap_or_default();
        Policy { imports, source, nodes, depth }
    }
}

/// Every key with its value as it would stand in a file.
pub(super) fn shown(policy: &Policy) -> Vec<(String, Option<String>)> {
    let Policy { imports, source, nodes, depth } = policy;
    let imports = imports.names().iter().map(|name| quoted(name)).collect::<Vec<_>>();
    let imports = ("sandbox.strict.imports".to_owned(), Some(format!("[{}]", imports.join(", "))));
    let limits = LIMITS
        .iter()
        .zip([*source, *nodes, *depth])
        .map(|(spec, value)| (format!("sandbox.strict.{}", spec.name), Some(written(spec, value))));
    [imports].into_iter().chain(limits).collect()
}
