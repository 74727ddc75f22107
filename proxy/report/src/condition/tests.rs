//! Tests of `condition`.

use hopscope_attribution::between::Between;

use super::*;
use crate::model::NotReadReport;
use crate::sample;

fn parsed(text: &str) -> Condition {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    text.parse::<Condition>().expect_err(text).to_string()
}

#[test]
fn every_hop_and_every_cause_can_be_a_subject() {
    for hop in Hop::ALL {
        parsed(&format!("{hop}>0.5%"));
    }
    for cause in Cause::ALL {
        parsed(&format!("cause:{cause} >= 3"));
    }
    parsed("any>1%");
    parsed("lb+backend>1%");
    parsed(" undelivered >= 0 ");
}

#[test]
fn a_wrong_condition_says_what_would_be_right() {
    assert_eq!(
        refused("tunnel"),
        "`tunnel` has no `>` or `>=`: write SUBJECT>LIMIT, such as `tunnel>0.5%` or `backend>=10`"
    );
    assert_eq!(
        refused("tunnel<1%"),
        "`tunnel<1%` compares with `<`, `=` or `!`: a limit on failures is `>` or `>=`"
    );
    assert!(refused("any=3").contains("`=`"));
    assert_eq!(
        refused("kubectl>1"),
        "`kubectl` is not something that can fail: use any, undelivered, client, observer, tunnel, lb, backend, \
         unknown, several of these as in lb+backend, or cause:WORD"
    );
    assert_eq!(
        refused("backend-reset>0"),
        "`backend-reset` is a cause: write `cause:backend-reset`"
    );
    assert_eq!(
        refused("cause:pod-reset>0"),
        "there is no cause `pod-reset` (like it: lb-reset, backend-reset): docs/report.md lists them all"
    );
    for limit in [
        "", "x", "-1", "1.5", "101%", "%", "nan%", "inf", "1e3", "0x10", "--1%", "1.2.3%",
    ] {
        assert!(
            refused(&format!("any>{limit}")).contains("is not a limit"),
            "{limit}"
        );
    }
}

#[test]
fn a_share_is_of_all_attempts_and_a_count_is_of_failures() {
    let report = sample::report();
    let holds = |text: &str| parsed(text).evaluate(&report).judgement == Judgement::Holds;
    assert!(holds("any>84%"));
    assert!(!holds("any>85%"));
    assert!(holds("backend>=25163"));
    assert!(!holds("backend>25163"));
    assert!(holds("cause:backend-dependency>0"));
    assert!(!holds("tunnel>0"));
    assert!(holds("tunnel>=0"));
    assert_eq!(
        parsed("any>1%").evaluate(&report).statement,
        "--fail-on 'any>1%' holds: 25,163 of 29,826 (84.4 %)"
    );
}

#[test]
fn what_stays_open_between_two_hops_counts_where_both_are_named_and_nowhere_else() {
    let mut report = sample::report();
    let backend = &mut report.hops[0];
    backend.hop = Hop::Unknown;
    for cause in &mut backend.causes {
        cause.cause = Cause::Undetermined;
        cause.between = Between::LbBackend;
    }
    let holds = |text: &str| parsed(text).evaluate(&report).judgement == Judgement::Holds;
    assert!(holds("lb+backend>1%"));
    assert!(holds("backend + lb + client > 1%"));
    assert!(!holds("lb>0"));
    assert!(!holds("backend>0"));
    assert!(!holds("tunnel+backend>0"));
    assert!(holds("unknown>0"));
}

#[test]
fn nothing_can_be_judged_by_no_traffic() {
    let report = sample::empty();
    for text in ["any>=0%", "any>=0", "any>1%", "tunnel>5", "undelivered>0"] {
        assert_eq!(
            parsed(text).evaluate(&report).judgement,
            Judgement::CannotBeJudged,
            "{text}"
        );
    }
    assert_eq!(
        parsed("any>1%").evaluate(&report).statement,
        "--fail-on 'any>1%' cannot be judged: nothing was sent: is {url} (or HOPSCOPE_URL) missing in the generator's \
         command?"
    );
}

/// The seed, with so many connections beside it that were not read, so many of which are charged already.
fn with_unread(connections: u64, failed: u64) -> Report {
    let mut report = sample::report();
    report.observer.not_read = vec![NotReadReport {
        path: "tunnel".to_owned(),
        reason: "tls",
        connections,
        read_at_first: 0,
        failed,
        bytes: 1_000,
        examples: vec![1],
    }];
    report
}

#[test]
fn what_was_not_read_is_judged_by_bounds() {
    // 25,163 of 29,826 failed; 174 connections more may have.
    let report = with_unread(174, 0);
    let judged = |text: &str| parsed(text).evaluate(&report).judgement;
    assert_eq!(judged("any>83%"), Judgement::Holds, "without them as well");
    assert_eq!(judged("any>84%"), Judgement::CannotBeJudged);
    assert_eq!(judged("any>85%"), Judgement::DoesNotHold, "with them as well");
    assert_eq!(
        judged("tunnel>0"),
        Judgement::CannotBeJudged,
        "any of them may be the tunnel's"
    );
    assert_eq!(judged("tunnel>174"), Judgement::DoesNotHold);
    assert_eq!(judged("tunnel>=174"), Judgement::CannotBeJudged);
    assert_eq!(
        parsed("any>84%").evaluate(&report).statement,
        "--fail-on 'any>84%' cannot be judged: between 25,163 (83.9 %) and 25,337 (84.5 %) of 30,000, since 174 \
         connections were not read"
    );
}

#[test]
fn what_was_not_read_and_failed_is_no_doubt() {
    let report = with_unread(12, 12);
    assert_eq!(
        parsed("tunnel>0").evaluate(&report).judgement,
        Judgement::DoesNotHold
    );
}

#[test]
fn one_condition_that_holds_is_enough_and_one_that_cannot_be_judged_is_told() {
    use Judgement::{CannotBeJudged, DoesNotHold, Holds};
    for (all, together) in [
        (&[][..], DoesNotHold),
        (&[DoesNotHold, CannotBeJudged], CannotBeJudged),
        (&[CannotBeJudged, Holds, DoesNotHold], Holds),
    ] {
        assert_eq!(Judgement::of_all(all.iter().copied()), together, "{all:?}");
    }
}

#[test]
fn the_manual_that_errors_point_to_lists_every_cause() {
    let manual = include_str!("../../../../docs/report.md");
    for cause in Cause::ALL {
        assert!(manual.contains(&format!("`{cause}`")), "{cause}");
    }
}
