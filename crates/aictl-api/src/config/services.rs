//! Tables `[services.NAME]`: the catalogue, which is the built-in one with what they change.

use std::collections::BTreeMap;

use super::{
    Setting,
    error::{ConfigError, Place, Problem},
    quoted,
    reader::{Entry, Reader, closest, plain, visible},
};
use crate::{
    authorisation::Verb,
    endpoint::Endpoint,
    provider::Provider,
    service::{
        Catalogue, CatalogueError, MAX_DISPLAY, MAX_SERVICES, Service, ServiceName, UnitName, Verbs,
    },
};

/// The keys of a service.
pub(super) const KEYS: [&str; 7] =
    ["unit", "display", "verbs", "required", "provider", "endpoint", "enabled"];

/// What [`super::Settings`] hold of the tables, by the services' names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServicesSettings(BTreeMap<ServiceName, ServiceSettings>);

/// What is set of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ServiceSettings {
    /// The table itself.
    table: Setting<()>,
    unit: Option<Setting<UnitName>>,
    display: Option<Setting<String>>,
    verbs: Option<Setting<Verbs>>,
    required: Option<Setting<bool>>,
    provider: Option<Setting<Provider>>,
    endpoint: Option<Setting<Endpoint>>,
    enabled: Option<Setting<bool>>,
}

impl ServicesSettings {
    pub fn read(&mut self, reader: &Reader<'_>, table: &Entry<'_>) -> Result<(), ConfigError> {
        reader.each_of(table, |entry| {
            let name = ServiceName::parse(entry.name)
                .map_err(|error| reader.error(entry, Problem::Name(error)))?;
            let mut service = ServiceSettings {
                table: reader.setting(entry, ()),
                unit: None,
                display: None,
                verbs: None,
                required: None,
                provider: None,
                endpoint: None,
                enabled: None,
            };
            service.read(reader, entry)?;
            self.0.insert(name, service);
            Ok(())
        })
    }

    pub fn over(self, earlier: Self) -> Self {
        let mut merged = earlier.0;
        for (name, later) in self.0 {
            let service = match merged.remove(&name) {
                Some(earlier) => later.over(earlier),
                None => later,
            };
            merged.insert(name, service);
        }
        Self(merged)
    }

    pub fn places(&self) -> impl Iterator<Item = (String, Place)> {
        self.0.values().flat_map(ServiceSettings::places)
    }

    /// The catalogue, and the built-in services that are taken out of it.
    pub fn build(mut self, errors: &mut Vec<ConfigError>) -> (Catalogue, Vec<ServiceName>) {
        // First, since what follows looks at pairs.
        if let Some((_, beyond)) = self.0.iter().nth(MAX_SERVICES) {
            errors.push(beyond.table.error(Problem::TooManyServices));
            return (Catalogue::empty(), Vec::new());
        }
        let builtin = Catalogue::builtin();
        let mut taken_out = Vec::new();
        // With the place of the unit, if it is set.
        let mut services: Vec<(Service, Option<Setting<UnitName>>)> = Vec::new();
        for service in &builtin {
            match self.0.remove(&service.name) {
                None => services.push((service.clone(), None)),
                Some(set) if set.is_out() => taken_out.push(service.name.clone()),
                Some(set) => services.push(set.apply(service.clone())),
            }
        }
        for (name, set) in self.0 {
            let Some(unit) = set.unit.clone() else {
                // Also of one that is taken out: who misspells a name believes that it is out.
                let meant = closest(name.as_ref(), builtin_names());
                errors.push(set.table.error(Problem::NoUnit { meant }));
                continue;
            };
            if !set.is_out() {
                services.push(set.apply(Service {
                    display: name.to_string(),
                    name,
                    unit: unit.value,
                    verbs: Verbs::ALL,
                    required: false,
                    provider: None,
                    endpoint: None,
                }));
            }
        }
        refuse_shared_units(&services, errors);
        let last = services.iter().rev().find_map(|(_, unit)| unit.clone());
        let catalogue = Catalogue::new(services.into_iter().map(|(service, _)| service).collect());
        let catalogue = catalogue.unwrap_or_else(|error| {
            if let (CatalogueError::TooMany, Some(last)) = (error, last) {
                errors.push(last.error(Problem::TooManyServices));
            }
            Catalogue::empty()
        });
        (catalogue, taken_out)
    }
}

/// Two services with one unit are an error of the one whose unit is set; of the later if both are.
fn refuse_shared_units(
    services: &[(Service, Option<Setting<UnitName>>)],
    errors: &mut Vec<ConfigError>,
) {
    for (index, later) in services.iter().enumerate() {
        let same = |earlier: &&(Service, _)| earlier.0.unit == later.0.unit;
        let Some(earlier) = services[..index].iter().find(same) else { continue };
        let (at, other) = if later.1.is_some() { (later, earlier) } else { (earlier, later) };
        if let Some(unit) = &at.1 {
            errors.push(unit.error(Problem::UnitTaken {
                by: other.0.name.clone(),
                place: other.1.as_ref().map(|set| set.place.clone()),
            }));
        }
    }
}

/// The names of the built-in services.
fn builtin_names() -> impl Iterator<Item = &'static str> {
    crate::service::BUILTIN_NAMES.iter().copied()
}

impl ServiceSettings {
    fn read(&mut self, reader: &Reader<'_>, table: &Entry<'_>) -> Result<(), ConfigError> {
        reader.each_of(table, |entry| {
            match entry.name {
                "unit" => self.unit = Some(read_unit(reader, entry)?),
                "display" => self.display = Some(read_display(reader, entry)?),
                "verbs" => self.verbs = Some(read_verbs(reader, entry)?),
                "required" => self.required = Some(reader.boolean(entry)?),
                "provider" => self.provider = Some(read_provider(reader, entry)?),
                "endpoint" => self.endpoint = Some(read_endpoint(reader, entry)?),
                "enabled" => self.enabled = Some(reader.boolean(entry)?),
                _ => return Err(reader.unknown(entry, KEYS.to_vec())),
            }
            Ok(())
        })
    }

    fn over(self, earlier: Self) -> Self {
        Self {
            table: earlier.table,
            unit: self.unit.or(earlier.unit),
            display: self.display.or(earlier.display),
            verbs: self.verbs.or(earlier.verbs),
            required: self.required.or(earlier.required),
            provider: self.provider.or(earlier.provider),
            endpoint: self.endpoint.or(earlier.endpoint),
            enabled: self.enabled.or(earlier.enabled),
        }
    }

    fn places(&self) -> Vec<(String, Place)> {
        fn place<T>(set: &Setting<T>) -> (String, Place) {
            (set.key.clone(), set.place.clone())
        }
        let mut places = Vec::new();
        places.extend(self.unit.as_ref().map(place));
        places.extend(self.display.as_ref().map(place));
        places.extend(self.verbs.as_ref().map(place));
        places.extend(self.required.as_ref().map(place));
        places.extend(self.provider.as_ref().map(place));
        places.extend(self.endpoint.as_ref().map(place));
        places.extend(self.enabled.as_ref().map(place));
        places
    }

    /// Whether the service is taken out.
    fn is_out(&self) -> bool {
        self.enabled.as_ref().is_some_and(|set| !set.value)
    }

    /// `service` with what is set here, and where its unit is set.
    fn apply(self, service: Service) -> (Service, Option<Setting<UnitName>>) {
        let service = Service {
            name: service.name,
            unit: self.unit.as_ref().map_or(service.unit, |set| set.value.clone()),
            display: self.display.map_or(service.display, |set| set.value),
            verbs: self.verbs.map_or(service.verbs, |set| set.value),
            required: self.required.map_or(service.required, |set| set.value),
            provider: self.provider.map(|set| set.value).or(service.provider),
            endpoint: self.endpoint.map(|set| set.value).or(service.endpoint),
        };
        (service, self.unit)
    }
}

fn read_unit(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Setting<UnitName>, ConfigError> {
    let text = reader.text(entry, "a unit's name in quotes such as \"ollama.service\"")?;
    let unit = UnitName::parse(text).map_err(|error| reader.error(entry, Problem::Name(error)))?;
    // Above all the one-shot that enables and disables: as a service, it would do so for any unit.
    if unit.stem() == "aictld" || unit.stem().starts_with("aictl-") {
        return Err(reader.error(entry, Problem::OwnUnit));
    }
    Ok(reader.setting(entry, unit))
}

fn read_display(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Setting<String>, ConfigError> {
    let text = reader.text(entry, "a text in quotes")?.to_string();
    let blank = text.trim().is_empty();
    if blank || text.chars().count() > MAX_DISPLAY || plain(&text) != text {
        return Err(reader.error(entry, Problem::Display));
    }
    Ok(reader.setting(entry, text))
}

fn read_provider(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Setting<Provider>, ConfigError> {
    let word = reader.text(entry, "a provider's name in quotes such as \"ollama\"")?;
    let Some(provider) = Provider::from_name(word) else {
        let (found, known) = (format!("\"{}\"", visible(word)), Provider::NAMES.to_vec());
        return Err(reader.error(entry, Problem::Word { found, known }));
    };
    Ok(reader.setting(entry, provider))
}

fn read_endpoint(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Setting<Endpoint>, ConfigError> {
    let text = reader.text(entry, "an endpoint in quotes such as \"http://127.0.0.1:8000\"")?;
    let endpoint = Endpoint::parse(text);
    let endpoint = endpoint.map_err(|error| reader.error(entry, Problem::Endpoint(error)))?;
    Ok(reader.setting(entry, endpoint))
}

fn read_verbs(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Setting<Verbs>, ConfigError> {
    let words = reader.texts(entry, "an array of verbs such as [\"start\", \"stop\"]")?;
    let mut verbs = Verbs::NONE;
    for word in words {
        let Some(verb) = Verb::from_name(word) else {
            let known = Verb::ALL.map(Verb::name).to_vec();
            let found = format!("\"{}\"", visible(word));
            return Err(reader.error(entry, Problem::Word { found, known }));
        };
        if verbs.contains(verb) {
            return Err(reader.error(entry, Problem::Twice(verb.name())));
        }
        verbs = verbs.with(verb);
    }
    Ok(reader.setting(entry, verbs))
}

/// Every key with its value as it would stand in a file.
pub(super) fn shown(
    catalogue: &Catalogue,
    taken_out: &[ServiceName],
) -> Vec<(String, Option<String>)> {
    let mut rows = Vec::new();
    for Service { name, display, unit, verbs, required, provider, endpoint } in catalogue {
        let verbs: Vec<_> = verbs.iter().map(|verb| quoted(verb.name())).collect();
        let values = [
            Some(quoted(unit.as_ref())),
            Some(quoted(display)),
            Some(format!("[{}]", verbs.join(", "))),
            Some(required.to_string()),
            provider.map(|provider| quoted(provider.name())),
            endpoint.as_ref().map(|endpoint| quoted(&endpoint.to_string())),
            Some(true.to_string()),
        ];
        for (key, value) in KEYS.into_iter().zip(values) {
            rows.push((format!("services.{name}.{key}"), value));
        }
    }
    for name in taken_out {
        rows.push((format!("services.{name}.enabled"), Some(false.to_string())));
    }
    rows
}
