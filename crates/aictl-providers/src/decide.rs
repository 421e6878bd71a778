//! From answers to the next questions, and to a report: decisions without I/O.

use aictl_api::provider::Provider;

use crate::{
    answers::{Answer, Answers, Ask, KeyUse},
    identify::{self, identify},
    openai,
    plan::{Facts, Looks, Plan, Reader, plan},
    report::{Fact, Gap, GapReason, Reach, Report},
    trouble::{TlsTrouble, Trouble},
};

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask these, all at once; never none.
    Ask(Vec<Ask>),
    /// That is what is known.
    Done(Report),
}

/// How the answer for a server's health stands.
enum Standing {
    /// All is well, and it is the expected kind of server.
    Ready,
    /// All is well, and nothing says which kind of server it is.
    Doubtful,
    /// It is loading.
    Loading(Option<String>),
    /// It wants a key, or another one.
    WantsKey,
    /// It is another kind of server, or says what this kind does not.
    Wrong(Option<Trouble>),
    /// It does not answer as it should.
    Trouble(Trouble),
}

/// What to do with the answers so far. The same question is never asked twice, so that this ends.
pub(crate) fn decide(expected: Option<Provider>, has_key: bool, answers: &Answers) -> Step {
    match expected {
        Some(provider) => decide_expected(provider, has_key, answers),
        None => decide_unknown(has_key, answers),
    }
}

fn decide_expected(provider: Provider, has_key: bool, answers: &Answers) -> Step {
    let the_plan = plan(provider);
    let lacking = answers.lack(the_plan.asks, has_key);
    if !lacking.is_empty() {
        return Step::Ask(lacking);
    }
    let is_sure = match standing(the_plan, answers) {
        Standing::Trouble(trouble) => {
            return Step::Done(Report::bare(Reach::Trouble(trouble), None));
        }
        Standing::Ready | Standing::Loading(_) => true,
        Standing::Doubtful | Standing::WantsKey | Standing::Wrong(_) => false,
    };
    if !is_sure {
        match find_out(has_key, answers) {
            Ok(Some(found)) if found != provider => {
                return Step::Done(Report::bare(Reach::Other(Some(found)), Some(found)));
            }
            Ok(_) => {}
            Err(asks) => return Step::Ask(asks),
        }
    }
    finish(provider, has_key, answers)
}

fn decide_unknown(has_key: bool, answers: &Answers) -> Step {
    match find_out(has_key, answers) {
        Err(asks) => Step::Ask(asks),
        Ok(Some(found)) => {
            let lacking = answers.lack(plan(found).asks, has_key);
            if lacking.is_empty() { finish(found, has_key, answers) } else { Step::Ask(lacking) }
        }
        Ok(None) => Step::Done(generic(has_key, answers)),
    }
}

/// Who it is, or what to ask to find out.
fn find_out(has_key: bool, answers: &Answers) -> Result<Option<Provider>, Vec<Ask>> {
    for asks in [identify::ASKS, identify::MORE_ASKS] {
        // A few answers may be enough.
        if let Some(found) = identify(answers) {
            return Ok(Some(found));
        }
        let lacking = answers.lack(asks, has_key);
        if !lacking.is_empty() {
            // Nobody there: there is no one to ask for more.
            if answers.is_dead() {
                return Ok(None);
            }
            return Err(lacking);
        }
    }
    Ok(identify(answers))
}

/// The report, or what is still to be asked for it.
fn finish(provider: Provider, has_key: bool, answers: &Answers) -> Step {
    let the_plan = plan(provider);
    let reach = match standing(the_plan, answers) {
        Standing::Ready | Standing::Doubtful => Reach::Ready,
        Standing::Loading(what) => Reach::Loading(what),
        Standing::WantsKey => key_reach(has_key),
        Standing::Wrong(None) => {
            let first = the_plan.asks.first().and_then(|ask| answers.answer(ask.path));
            return Step::Done(Report::of_another(first.map(kind)));
        }
        Standing::Wrong(Some(trouble)) | Standing::Trouble(trouble) => {
            return Step::Done(Report::bare(Reach::Trouble(trouble), None));
        }
    };
    if reach == Reach::Ready {
        let lacking = answers.lack(&(the_plan.later)(answers), has_key);
        if !lacking.is_empty() {
            return Step::Ask(lacking);
        }
    }
    Step::Done(tell(provider, reach, has_key, answers))
}

/// The report on a server that answers as it should, or nearly so.
fn tell(provider: Provider, reach: Reach, has_key: bool, answers: &Answers) -> Report {
    let the_plan = plan(provider);
    let later = (the_plan.later)(answers);
    let mut reader = Reader::new(answers);
    let facts = (the_plan.facts)(&mut reader);
    let mut gaps = reader.gaps;
    if matches!(reach, Reach::Loading(_)) {
        // A server that is loading has nothing else to tell yet.
        gaps.clear();
    }
    let asks = || the_plan.asks.iter().chain(&later);
    let unasked = asks().filter(|ask| ask.key == KeyUse::Always && !has_key);
    for ask in unasked.filter(|ask| answers.get(ask.path).is_none()) {
        gaps.push(Gap { what: ask.what, why: GapReason::NoKey });
    }
    let wants_key = asks().any(|ask| {
        ask.key != KeyUse::Never && answers.answer(ask.path).is_some_and(Answer::wants_key)
    });
    let reach = if reach == Reach::Ready && wants_key { key_reach(has_key) } else { reach };
    let health = the_plan.asks.first().and_then(|ask| answers.answer(ask.path));
    let latency = health.filter(|answer| answer.is_ok()).map(|answer| answer.took);
    let Facts { version, models, loaded, requests_running } = facts;
    Report {
        reach,
        provider: Some(provider),
        came: None,
        latency,
        version,
        models,
        loaded,
        requests_running,
        gaps,
    }
}

/// What kind of answer it is.
fn kind(answer: &Answer) -> &'static str {
    match answer.status {
        404 | 405 => "it does not know the path that was asked for",
        _ if answer.is_page() => "it sent a web page",
        _ if answer.text().trim().is_empty() => "it sent nothing",
        _ if answer.json::<serde::de::IgnoredAny>().is_ok() => "it sent JSON of another kind",
        _ if answer.means_json() => "it sent broken JSON",
        _ => "it sent something else",
    }
}

const fn key_reach(has_key: bool) -> Reach {
    if has_key { Reach::KeyRefused } else { Reach::KeyNeeded }
}

fn standing(the_plan: &Plan, answers: &Answers) -> Standing {
    let Some(health) = the_plan.asks.first().and_then(|ask| answers.get(ask.path)) else {
        return Standing::Wrong(None);
    };
    let health = match health {
        Ok(answer) => answer,
        Err(trouble) => return Standing::Trouble(trouble.clone()),
    };
    if let Some(loading) = (the_plan.loading)(health) {
        return Standing::Loading(loading.0);
    }
    match health.status {
        200..=299 => match (the_plan.looks)(answers) {
            Looks::Like => Standing::Ready,
            Looks::Maybe => Standing::Doubtful,
            Looks::Unlike => Standing::Wrong(None),
            Looks::Broken(trouble) => Standing::Wrong(Some(trouble)),
        },
        300..=399 => Standing::Wrong(Some(Trouble::Redirect { to: health.redirect.clone() })),
        401 | 403 => Standing::WantsKey,
        status @ 500.. => Standing::Trouble(Trouble::Status(status)),
        _ if says_tls(health) => Standing::Trouble(Trouble::Tls(TlsTrouble::NeedsTls)),
        // Of a server that it is, by other answers, and that does not know this path.
        404 | 405 if (the_plan.looks)(answers) == Looks::Like => Standing::Ready,
        404 | 405 => Standing::Wrong(None),
        status => Standing::Wrong(Some(Trouble::Status(status))),
    }
}

/// Whether a server that was asked without TLS says in plain HTTP that it wants TLS, as Go's and
/// nginx do.
fn says_tls(answer: &Answer) -> bool {
    let text = answer.text();
    answer.status == 400
        && (text.contains("HTTP request to an HTTPS server")
            || text.contains("HTTP request was sent to HTTPS port"))
}

/// The report on a server that is none of those that are known.
fn generic(has_key: bool, answers: &Answers) -> Report {
    let page = answers.get("/");
    let models = answers.get(openai::PATH);
    let best = [models, page].into_iter().flatten().filter_map(|answer| answer.as_ref().ok());
    let mut best: Vec<&Answer> = best.collect();
    // The one that did what it was asked counts, then any that is no failure of the server.
    best.sort_by_key(|answer| (!answer.is_ok(), answer.status >= 500));
    let Some(best) = best.first() else {
        let trouble = page.or(models).and_then(|answer| answer.as_ref().err());
        let trouble = trouble.cloned().unwrap_or(Trouble::NotHttp);
        return Report::bare(Reach::Trouble(trouble), None);
    };
    let reach = match best.status {
        401 | 403 => key_reach(has_key),
        300..=399 => Reach::Trouble(Trouble::Redirect { to: best.redirect.clone() }),
        status @ 500.. => Reach::Trouble(Trouble::Status(status)),
        _ if says_tls(best) => Reach::Trouble(Trouble::Tls(TlsTrouble::NeedsTls)),
        _ => Reach::Ready,
    };
    let mut report = Report::bare(reach, None);
    if report.reach == Reach::Ready {
        let mut reader = Reader::new(answers);
        // Not every server has models: what cannot be read is no list of them.
        report.models = answers
            .json::<openai::Models>(openai::PATH)
            .map(|models| reader.names(models.data, Fact::Models));
        report.gaps = reader.gaps;
        report.latency = Some(best.took);
    }
    report
}
