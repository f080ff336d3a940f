//! What follows from the traces: the checks behind each question, and their words.

use std::fmt::Write as _;

use super::vitals::Vitals;

/// For how long a loop may not have come round before the process counts as dead. Nothing that a loop does takes a tenth of
/// it, also when a tree of millions of znodes is replaced; what hangs for longer hangs for ever.
pub const STALL_MAX_MS: u64 = 10_000;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Would a restart mend it?
    Live,
    /// Should clients be sent here?
    Ready,
    /// Is everything on the disk replayed?
    Started,
}

impl Question {
    /// All of them.
    pub const ALL: [Question; 3] = [Question::Live, Question::Ready, Question::Started];

    /// The name that Kubernetes' own components give it, and the last part of its path.
    pub fn name(self) -> &'static str {
        match self {
            Question::Live => "livez",
            Question::Ready => "readyz",
            Question::Started => "startupz",
        }
    }

    /// The services of the gRPC protocol by which it is asked; the empty one stands for the whole server.
    pub fn services(self) -> &'static [&'static str] {
        match self {
            Question::Live => &["liveness"],
            Question::Ready => &["", "readiness"],
            Question::Started => &["startup"],
        }
    }

    /// The question behind a service of the gRPC protocol.
    pub fn of_service(service: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|question| question.services().contains(&service))
    }

    /// Whether the answer is yes.
    pub fn holds(self, vitals: &Vitals) -> bool {
        self.checks().iter().all(|check| check.look(vitals).is_ok())
    }

    /// Whether the answer is yes, and what each check found, one per line.
    pub fn answer(self, vitals: &Vitals) -> (bool, String) {
        let mut text = String::new();
        let mut holds = true;
        for check in self.checks() {
            let found = check.look(vitals);
            let (sign, word) = if found.is_ok() { ('+', "ok") } else { ('-', "failed") };
            holds &= found.is_ok();
            let (Ok(detail) | Err(detail)) = found;
            let _ = writeln!(text, "[{sign}]{} {word}: {detail}", check.name());
        }
        let _ = writeln!(text, "{} check {}", self.name(), if holds { "passed" } else { "failed" });
        (holds, text)
    }

    fn checks(self) -> &'static [Check] {
        match self {
            Question::Live => &[Check::Loops],
            Question::Ready => &[Check::Start, Check::Loops, Check::Serving, Check::Staying],
            Question::Started => &[Check::Start],
        }
    }
}

/// One thing that is looked at.
#[derive(Clone, Copy, Debug)]
enum Check {
    Loops,
    Start,
    Serving,
    Staying,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Check::Loops => "loops",
            Check::Start => "start",
            Check::Serving => "serving",
            Check::Staying => "staying",
        }
    }

    /// What is found, be it good or bad.
    fn look(self, vitals: &Vitals) -> Result<String, String> {
        match self {
            Check::Loops => loops(vitals),
            Check::Start => start(vitals),
            Check::Serving => {
                let part = vitals.part();
                let mut words = part.in_words().to_owned();
                let search = vitals.search();
                // Who serves reads is ready. Who serves nobody for want of room says that as what it waits for.
                if vitals.refuses_writes() && (part.serves() || search.is_empty()) {
                    words.push_str(", writes are refused: the disk is full");
                }
                match (part.serves(), &*search) {
                    (true, _) => Ok(words),
                    (false, "") => Err(words),
                    (false, search) => Err(format!("{words}: {search}")),
                }
            }
            Check::Staying if vitals.is_stopping() => Err("asked to end".to_owned()),
            Check::Staying => Ok("not asked to end".to_owned()),
        }
    }
}

fn loops(vitals: &Vitals) -> Result<String, String> {
    let stalled = vitals.stalled(STALL_MAX_MS);
    if stalled.is_empty() {
        return Ok(format!("{} turn", vitals.loop_count()));
    }
    let words: Vec<_> = stalled.iter().map(|(name, ms)| format!("{name} stands still for {ms}ms")).collect();
    Err(words.join(", "))
}

fn start(vitals: &Vitals) -> Result<String, String> {
    let (done, total) = vitals.progress.bytes();
    if vitals.has_started() {
        return Ok(format!("{total} bytes replayed"));
    }
    // An empty directory has nothing to replay.
    let percent = (u128::from(done) * 100).checked_div(u128::from(total)).unwrap_or(0);
    Err(format!("replaying, {percent}% ({done} of {total} bytes)"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::vitals::Part;
    use super::*;

    fn text(question: Question, vitals: &Vitals) -> String {
        let (holds, text) = question.answer(vitals);
        assert_eq!(holds, question.holds(vitals));
        text
    }

    #[test]
    fn a_start_tells_how_far_it_is() {
        let vitals = Vitals::default();
        assert_eq!(
            text(Question::Started, &vitals),
            "[-]start failed: replaying, 0% (0 of 0 bytes)\nstartupz check failed\n"
        );
        vitals.progress.begin(2000);
        vitals.progress.reach(1980);
        assert!(text(Question::Started, &vitals).contains("99% (1980 of 2000 bytes)"));
        assert!(Question::Live.holds(&vitals), "whoever replays lives");
        assert!(!Question::Ready.holds(&vitals));
        vitals.note_started();
        assert_eq!(
            text(Question::Started, &vitals),
            "[+]start ok: 2000 bytes replayed\nstartupz check passed\n"
        );
    }

    #[test]
    fn who_serves_is_ready_until_it_is_asked_to_end() {
        let vitals = Vitals::default();
        vitals.note_started();
        for (part, is_ready) in [
            (Part::Standalone, true),
            (Part::Looking, false),
            (Part::ReadOnly, false),
            (Part::CatchingUp, false),
            (Part::Uncounted, false),
            (Part::Leading, true),
            (Part::Following, true),
            (Part::Observing, true),
        ] {
            vitals.note_part(part);
            assert_eq!(Question::Ready.holds(&vitals), is_ready, "{part:?}");
            assert!(Question::Live.holds(&vitals), "{part:?}");
        }
        vitals.note_stopping();
        assert!(!Question::Ready.holds(&vitals));
        assert!(text(Question::Ready, &vitals).contains("[-]staying failed: asked to end\n"));
        assert!(Question::Live.holds(&vitals) && Question::Started.holds(&vitals));
    }

    #[test]
    fn who_has_no_leader_says_what_it_waits_for() {
        let vitals = Vitals::default();
        vitals.note_started();
        vitals.note_part(Part::Looking);
        vitals.note_search("voters 2, 3 are not reached");
        let serving = "[-]serving failed: looking for a leader: voters 2, 3 are not reached\n";
        assert!(text(Question::Ready, &vitals).contains(serving));
        vitals.note_part(Part::Following);
        assert!(text(Question::Ready, &vitals).contains("[+]serving ok: following\n"));
    }

    #[test]
    fn a_full_disk_is_named_and_makes_nobody_unready_who_serves() {
        let vitals = Vitals::default();
        vitals.note_started();
        vitals.note_part(Part::Leading);
        vitals.note_writes_refused(true);
        let serving = "[+]serving ok: leading, writes are refused: the disk is full\n";
        assert!(text(Question::Ready, &vitals).contains(serving));
        vitals.note_part(Part::Looking);
        vitals.note_search("the log has no room");
        let serving = "[-]serving failed: looking for a leader: the log has no room\n";
        assert!(
            text(Question::Ready, &vitals).contains(serving),
            "a member that its leader has given up serves nobody"
        );
        vitals.note_search("");
        vitals.note_part(Part::Leading);
        vitals.note_writes_refused(false);
        assert!(text(Question::Ready, &vitals).contains("[+]serving ok: leading\n"));
    }

    #[test]
    fn a_loop_that_stands_still_is_named() {
        let vitals = Arc::new(Vitals::default());
        vitals.note_started();
        let (turning, _standing) = (vitals.pulse("Turning"), vitals.pulse("Standing"));
        vitals.pass(Duration::from_millis(STALL_MAX_MS + 1));
        turning.beat();
        let expected = "[-]loops failed: Standing stands still for 10001ms\nlivez check failed\n";
        assert_eq!(text(Question::Live, &vitals), expected);
        assert!(!Question::Ready.holds(&vitals), "who does not live is not ready");
    }

    #[test]
    fn every_service_asks_one_question() {
        assert_eq!(Question::of_service(""), Some(Question::Ready));
        assert_eq!(Question::of_service("liveness"), Some(Question::Live));
        assert_eq!(Question::of_service("readiness"), Some(Question::Ready));
        assert_eq!(Question::of_service("startup"), Some(Question::Started));
        assert_eq!(Question::of_service("livez"), None);
    }
}
