//! The catalogue: a module a family. A sample plays the first play of each.

use crate::play::Play;

mod applications;
mod balancers;
mod bodies;
mod ends;
mod half_close;
mod itself;
mod keep_alive;
mod limits;
mod names;
mod network;
mod patience;
mod protocols;
mod services;
mod tunnels;

/// Every play, by family.
pub(crate) const FAMILIES: &[(&str, &[Play])] = &[
    ("applications", applications::PLAYS),
    ("keep-alive", keep_alive::PLAYS),
    ("half-close", half_close::PLAYS),
    ("bodies", bodies::PLAYS),
    ("balancers", balancers::PLAYS),
    ("limits", limits::PLAYS),
    ("services", services::PLAYS),
    ("network", network::PLAYS),
    ("patience", patience::PLAYS),
    ("names", names::PLAYS),
    ("protocols", protocols::PLAYS),
    ("ends", ends::PLAYS),
    ("tunnels", tunnels::PLAYS),
    ("itself", itself::PLAYS),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::play::{Answer, Vantage};

    fn all() -> impl Iterator<Item = &'static Play> {
        FAMILIES.iter().flat_map(|(_, plays)| *plays)
    }

    #[test]
    fn every_name_is_taken_once_and_every_mirror_exists() {
        let names: BTreeSet<&str> = all().map(|play| play.name).collect();
        assert_eq!(names.len(), all().count(), "a name is taken twice");
        for play in all() {
            assert!(
                names.contains(play.mirror),
                "{} has the mirror {:?}",
                play.name,
                play.mirror
            );
            assert_ne!(play.mirror, play.name);
            assert!(play.done.ends_with('.'), "{}", play.name);
        }
    }

    #[test]
    fn what_is_expected_fits_the_truth() {
        for play in all() {
            assert!(
                Vantage::ALL
                    .iter()
                    .any(|vantage| !play.expected(*vantage).is_empty()),
                "{} is played from nowhere",
                play.name
            );
            for answer in Vantage::ALL.iter().flat_map(|vantage| play.expected(*vantage)) {
                match answer {
                    Answer::Hop(hop, causes) => {
                        assert_eq!(*hop, play.truth.hop(), "{}", play.name);
                        for cause in *causes {
                            assert!(cause.starts_with(hop), "{}: {cause}", play.name);
                        }
                    }
                    Answer::Between(hops) => {
                        assert!(hops.len() <= 2, "{}", play.name);
                        assert!(hops.contains(&play.truth.hop()), "{}", play.name);
                    }
                    Answer::Nothing | Answer::Open | Answer::NotRead | Answer::Rejected => {}
                }
            }
        }
    }

    #[test]
    fn a_symptom_has_more_than_one_author() {
        // A mirror is by another hop, or has nothing broken.
        for play in all() {
            let mirror = all().find(|other| other.name == play.mirror);
            let other = mirror.map(|mirror| mirror.truth);
            assert_ne!(other, Some(play.truth), "{} and {}", play.name, play.mirror);
        }
    }
}
