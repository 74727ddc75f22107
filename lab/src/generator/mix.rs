//! What the users ask for.

use super::Reuse;
use crate::deal::Deal;

/// One route and how often it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteShare {
    /// Relative to the sum of all weights.
    pub weight: f64,
    /// The method.
    pub method: &'static str,
    /// The path; `:id` in it is replaced by a number.
    pub template: String,
    /// Numbers from 1 to this stand in for `:id`.
    pub ids: u32,
    /// Bytes of the request's body.
    pub body: usize,
}

impl RouteShare {
    /// A GET without a body.
    pub fn get(weight: f64, template: &str) -> Self {
        Self {
            weight,
            method: "GET",
            template: template.to_owned(),
            ids: 500,
            body: 0,
        }
    }

    /// A POST with a body of so many bytes.
    pub fn post(weight: f64, template: &str, body: usize) -> Self {
        Self {
            method: "POST",
            body,
            ..Self::get(weight, template)
        }
    }
}

/// All that the users ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    routes: Vec<RouteShare>,
    dealt: bool,
}

impl Mix {
    /// These routes, each user's own choice every time.
    pub const fn new(routes: Vec<RouteShare>) -> Self {
        Self { routes, dealt: false }
    }

    /// These routes, dealt out among all users so that each comes as often as its weight says. Weights are whole numbers.
    pub const fn dealt(routes: Vec<RouteShare>) -> Self {
        Self { routes, dealt: true }
    }

    /// What a mix that is dealt is dealt from.
    pub(super) fn deal(&self) -> Option<Deal> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "weights of a table are small whole numbers; a cast saturates"
        )]
        let weights = || self.routes.iter().map(|route| route.weight.round() as u64);
        self.dealt.then(|| Deal::new(weights().collect::<Vec<_>>()))
    }

    /// One route.
    pub fn only(route: RouteShare) -> Self {
        Self::new(vec![route])
    }

    /// The routes, in the order given.
    pub fn routes(&self) -> &[RouteShare] {
        &self.routes
    }

    /// The number of the route that comes next; `None` when there is none.
    pub(super) fn choose(&self, rng: &mut fastrand::Rng) -> Option<usize> {
        let sum: f64 = self.routes.iter().map(|route| route.weight).sum();
        let mut left = rng.f64() * sum;
        for (number, route) in self.routes.iter().enumerate() {
            left -= route.weight;
            if left < 0.0 {
                return Some(number);
            }
        }
        self.routes.len().checked_sub(1)
    }

    /// Writes a request for that route over what `out` held.
    pub(super) fn write(
        &self,
        number: usize,
        host: &str,
        reuse: Reuse,
        rng: &mut fastrand::Rng,
        out: &mut Vec<u8>,
    ) {
        out.clear();
        let Some(route) = self.routes.get(number) else {
            return;
        };
        out.extend_from_slice(route.method.as_bytes());
        out.push(b' ');
        match route.template.split_once(":id") {
            Some((before, after)) => {
                out.extend_from_slice(before.as_bytes());
                out.extend_from_slice(rng.u32(1..=route.ids.max(1)).to_string().as_bytes());
                out.extend_from_slice(after.as_bytes());
            }
            None => out.extend_from_slice(route.template.as_bytes()),
        }
        out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        out.extend_from_slice(host.as_bytes());
        if reuse == Reuse::ServerCloses {
            out.extend_from_slice(b"\r\nconnection: close");
        }
        if route.body > 0 {
            out.extend_from_slice(format!("\r\ncontent-length: {}", route.body).as_bytes());
        }
        out.extend_from_slice(b"\r\nuser-agent: hopscope-lab\r\naccept: */*\r\n\r\n");
        out.resize(out.len() + route.body, b'b');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_asked_for_by_their_weight() {
        let mix = Mix::new(vec![
            RouteShare::get(5.0, "/health"),
            RouteShare::get(95.0, "/products/:id"),
        ]);
        let mut rng = fastrand::Rng::with_seed(1);
        let health = (0..10_000).filter(|_| mix.choose(&mut rng) == Some(0)).count();
        assert!((400..600).contains(&health), "{health}");
    }

    #[test]
    fn an_id_stands_where_the_template_has_its_place() {
        let mut route = RouteShare::post(1.0, "/products/:id/reviews", 3);
        route.ids = 1;
        let mut out = Vec::new();
        Mix::only(route).write(
            0,
            "h",
            Reuse::ServerCloses,
            &mut fastrand::Rng::with_seed(1),
            &mut out,
        );
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("POST /products/1/reviews HTTP/1.1\r\nhost: h\r\nconnection: close\r\n"),
            "{text}"
        );
        assert!(text.ends_with("\r\n\r\nbbb"), "{text}");
    }
}
