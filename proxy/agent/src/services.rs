//! Services and their endpoints, as the Kubernetes API tells them. No I/O; [`super::kubernetes`] asks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::evidence::{EndpointSeen, ServiceSeen};

/// Services that are followed, and the slices of one; nobody's mistake may cost more memory than this.
const SERVICES: usize = 4_096;
const SLICES: usize = 256;
/// Endpoints of a Service that are told; of those beyond them nothing is claimed.
const ENDPOINTS: usize = 1_024;
/// The label by which a slice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Namespace and name.
type Id = (String, String);

/// What the API told.
#[derive(Clone, Debug)]
pub enum Told {
    /// All Services.
    Services(Vec<Service>),
    /// All slices.
    Slices(Vec<EndpointSlice>),
    /// One that is new, or has changed.
    Service(Box<Service>),
    /// One that is gone.
    ServiceGone(Box<Service>),
    /// One that is new, or has changed.
    Slice(Box<EndpointSlice>),
    /// One that is gone.
    SliceGone(Box<EndpointSlice>),
}

/// The Services.
#[derive(Debug, Default)]
pub struct Services {
    known: BTreeMap<Id, Known>,
    addresses_listed: bool,
    slices_listed: bool,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Vec<SocketAddr>,
    node_ports: Vec<u16>,
    slices: BTreeMap<String, Ends>,
    told: Option<ServiceSeen>,
}

/// The endpoints of one slice: ready, and not.
#[derive(Debug, Default)]
struct Ends {
    ready: BTreeSet<EndpointSeen>,
    not_ready: BTreeSet<EndpointSeen>,
}

fn id(meta: &ObjectMeta) -> Id {
    (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

/// The Service that a slice belongs to.
fn owner(slice: &EndpointSlice) -> Option<Id> {
    let labels = slice.metadata.labels.as_ref()?;
    let name = labels.get(SERVICE_NAME)?.clone();
    Some((slice.metadata.namespace.clone().unwrap_or_default(), name))
}

impl Services {
    /// Takes in what the API told, and gives the Services that are another than they were told last.
    pub fn hear(&mut self, told: &Told, now_unix_us: u64) -> Vec<ServiceSeen> {
        let mut changed: BTreeSet<Id> = BTreeSet::new();
        let listed = matches!(told, Told::Services(_) | Told::Slices(_));
        match told {
            Told::Services(all) => {
                self.addresses_listed = true;
                let there: BTreeSet<Id> = all.iter().map(|service| id(&service.metadata)).collect();
                for (gone, known) in self.known.iter_mut().filter(|(id, _)| !there.contains(*id)) {
                    known.addresses.clear();
                    known.node_ports.clear();
                    changed.insert(gone.clone());
                }
                changed.extend(all.iter().filter_map(|service| self.service(service)));
            }
            Told::Slices(all) => {
                self.slices_listed = true;
                for (id, known) in &mut self.known {
                    known.slices.clear();
                    changed.insert(id.clone());
                }
                changed.extend(all.iter().filter_map(|slice| self.slice(slice)));
            }
            Told::Service(service) => changed.extend(self.service(service)),
            Told::ServiceGone(service) => {
                let id = id(&service.metadata);
                if let Some(known) = self.known.get_mut(&id) {
                    known.addresses.clear();
                    known.node_ports.clear();
                    changed.insert(id);
                }
            }
            Told::Slice(slice) => changed.extend(self.slice(slice)),
            Told::SliceGone(slice) => {
                if let Some(id) = owner(slice)
                    && let Some(known) = self.known.get_mut(&id)
                {
                    known
                        .slices
                        .remove(slice.metadata.name.as_deref().unwrap_or_default());
                    changed.insert(id);
                }
            }
        }
        if !self.is_told() {
            // Half of it says nothing: an address without endpoints is not one whose endpoints are gone.
            return Vec::new();
        }
        // With the second list everything is told for the first time.
        let all: Vec<Id> = if listed {
            self.known.keys().cloned().collect()
        } else {
            changed.into_iter().collect()
        };
        all.iter()
            .filter_map(|id| self.tell(id, listed, now_unix_us))
            .collect()
    }

    /// The addresses of all Services, and their node ports.
    pub fn stand_ins(&self) -> (BTreeSet<SocketAddr>, BTreeSet<u16>) {
        let addresses = self.known.values().flat_map(|known| &known.addresses).copied();
        let node_ports = self.known.values().flat_map(|known| &known.node_ports).copied();
        (addresses.collect(), node_ports.collect())
    }

    /// Whether both lists were told.
    pub const fn is_told(&self) -> bool {
        self.addresses_listed && self.slices_listed
    }

    fn entry(&mut self, id: &Id) -> Option<&mut Known> {
        if !self.known.contains_key(id) && self.known.len() >= SERVICES {
            return None;
        }
        Some(self.known.entry(id.clone()).or_default())
    }

    fn service(&mut self, service: &Service) -> Option<Id> {
        let id = id(&service.metadata);
        let known = self.entry(&id)?;
        let spec = service.spec.as_ref()?;
        let ingress = service
            .status
            .iter()
            .filter_map(|status| status.load_balancer.as_ref())
            .flat_map(|balancer| balancer.ingress.iter().flatten())
            .filter_map(|ingress| ingress.ip.as_ref());
        let addresses: BTreeSet<IpAddr> = spec
            .cluster_ips
            .iter()
            .flatten()
            .chain(&spec.cluster_ip)
            .chain(spec.external_ips.iter().flatten())
            .chain(ingress)
            .filter_map(|text| text.parse().ok())
            .collect();
        let port = |number: i32| u16::try_from(number).ok().filter(|port| *port > 0);
        let tcp = |protocol: Option<&str>| matches!(protocol, None | Some("TCP"));
        let ports: Vec<_> = spec
            .ports
            .iter()
            .flatten()
            .filter(|port| tcp(port.protocol.as_deref()))
            .collect();
        known.addresses = addresses
            .iter()
            .flat_map(|address| {
                let each = ports.iter().filter_map(|one| port(one.port));
                each.map(|port| SocketAddr::new(*address, port))
            })
            .collect();
        known.node_ports = ports.iter().filter_map(|one| port(one.node_port?)).collect();
        Some(id)
    }

    fn slice(&mut self, slice: &EndpointSlice) -> Option<Id> {
        let id = owner(slice)?;
        let known = self.entry(&id)?;
        let name = slice.metadata.name.clone().unwrap_or_default();
        if !known.slices.contains_key(&name) && known.slices.len() >= SLICES {
            return None;
        }
        let ports = slice.ports.iter().flatten();
        let ports: Vec<u16> = ports
            .filter(|port| matches!(port.protocol.as_deref(), None | Some("TCP")))
            .filter_map(|port| u16::try_from(port.port?).ok())
            .collect();
        let mut ends = Ends::default();
        for endpoint in slice.endpoints.iter().flatten() {
            // "A nil value should be interpreted as true": the API's own words.
            let ready = endpoint
                .conditions
                .as_ref()
                .and_then(|conditions| conditions.ready);
            let side = if ready.unwrap_or(true) {
                &mut ends.ready
            } else {
                &mut ends.not_ready
            };
            side.extend(seen(endpoint, &ports));
        }
        known.slices.insert(name, ends);
        Some(id)
    }

    /// The Service as it is now, where that is not what was told of it last.
    fn tell(&mut self, id: &Id, listed: bool, now_unix_us: u64) -> Option<ServiceSeen> {
        let known = self.known.get_mut(id)?;
        let collect = |side: fn(&Ends) -> &BTreeSet<EndpointSeen>| -> Vec<EndpointSeen> {
            let all: BTreeSet<_> = known.slices.values().flat_map(side).cloned().collect();
            all.into_iter().take(ENDPOINTS).collect()
        };
        let seen = ServiceSeen {
            unix_us: now_unix_us,
            listed,
            namespace: id.0.clone(),
            name: id.1.clone(),
            ready: collect(|ends| &ends.ready),
            not_ready: collect(|ends| &ends.not_ready),
            addresses: known.addresses.clone(),
            node_ports: known.node_ports.clone(),
        };
        let is_gone = seen.addresses.is_empty() && seen.node_ports.is_empty() && known.slices.is_empty();
        let same = known.told.as_ref().is_some_and(|told| {
            let times = (told.unix_us, told.listed);
            ServiceSeen {
                unix_us: times.0,
                listed: times.1,
                ..seen.clone()
            } == *told
        });
        if is_gone {
            let was_told = known.told.is_some();
            self.known.remove(id);
            return was_told.then_some(seen);
        }
        if same {
            return None;
        }
        known.told = Some(seen.clone());
        Some(seen)
    }
}

fn seen<'a>(endpoint: &'a Endpoint, ports: &'a [u16]) -> impl Iterator<Item = EndpointSeen> + 'a {
    let target = endpoint.target_ref.as_ref();
    let pod = target
        .filter(|target| target.kind.as_deref() == Some("Pod"))
        .and_then(|target| target.name.clone())
        .unwrap_or_default();
    let addresses = endpoint
        .addresses
        .iter()
        .filter_map(|text| text.parse::<IpAddr>().ok());
    addresses.flat_map(move |address| {
        let pod = pod.clone();
        ports.iter().map(move |port| EndpointSeen {
            address: SocketAddr::new(address, *port),
            pod: pod.clone(),
            node: endpoint.node_name.clone().unwrap_or_default(),
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service() -> Service {
        of(json!({
            "metadata": {"namespace": "shop", "name": "gateway"},
            "spec": {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"],
                     "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]},
        }))
    }

    fn slice(ready: &[Value]) -> EndpointSlice {
        of(json!({
            "addressType": "IPv4",
            "metadata": {"namespace": "shop", "name": "gateway-x", "labels": {"kubernetes.io/service-name": "gateway"}},
            "ports": [{"port": 8080}],
            "endpoints": ready.iter().enumerate().map(|(at, ready)| json!({
                "addresses": [format!("10.9.0.{at}")], "conditions": {"ready": ready}, "nodeName": "worker-3",
                "targetRef": {"kind": "Pod", "name": format!("gateway-{at}")},
            })).collect::<Vec<_>>(),
        }))
    }

    fn of<T: serde::de::DeserializeOwned>(object: Value) -> T {
        serde_json::from_value(object).unwrap()
    }

    fn started(ready: &[Value]) -> (Services, Vec<ServiceSeen>) {
        let mut services = Services::default();
        assert_eq!(services.hear(&Told::Services(vec![service()]), 1), []);
        let told = services.hear(&Told::Slices(vec![slice(ready)]), 2);
        (services, told)
    }

    #[test]
    fn a_service_is_told_once_its_addresses_and_its_endpoints_are_known() {
        let (services, told) = started(&[json!(true), json!(false), Value::Null]);
        assert!(services.is_told());
        let [told] = told.as_slice() else {
            panic!("one service: {told:?}");
        };
        assert_eq!(told.addresses, ["10.96.0.7:80".parse().unwrap()]);
        assert_eq!(told.node_ports, [30_080]);
        let ready: Vec<_> = told.ready.iter().map(|end| end.pod.as_str()).collect();
        assert_eq!(
            ready,
            ["gateway-0", "gateway-2"],
            "an unknown readiness counts as ready"
        );
        assert_eq!(told.not_ready[0].address, "10.9.0.1:8080".parse().unwrap());
        assert!(told.listed && told.ready[0].node == "worker-3");
    }

    #[test]
    fn a_turn_of_an_endpoint_is_told_with_its_time_and_the_same_again_is_not() {
        let (mut services, _) = started(&[json!(true)]);
        assert_eq!(
            services.hear(&Told::Slice(Box::new(slice(&[json!(true)]))), 5),
            []
        );
        let told = services.hear(&Told::Slice(Box::new(slice(&[json!(false)]))), 6);
        assert_eq!(
            (told[0].unix_us, told[0].ready.len(), told[0].not_ready.len()),
            (6, 0, 1)
        );
        assert!(!told[0].listed);
        let told = services.hear(&Told::SliceGone(Box::new(slice(&[]))), 7);
        assert_eq!((told[0].ready.len(), told[0].addresses.len()), (0, 1));
        let told = services.hear(&Told::ServiceGone(Box::new(service())), 8);
        assert_eq!(told[0].addresses, []);
        assert!(services.known.is_empty());
    }

    #[test]
    fn a_list_after_a_time_without_an_answer_tells_what_changed_meanwhile() {
        let (mut services, _) = started(&[json!(true)]);
        assert_eq!(services.hear(&Told::Slices(vec![slice(&[json!(true)])]), 9), []);
        let told = services.hear(&Told::Slices(Vec::new()), 10);
        assert_eq!((told.len(), told[0].ready.len()), (1, 0));
    }

    #[test]
    fn a_cluster_without_end_is_followed_within_bounds() {
        let mut services = Services::default();
        services.hear(&Told::Slices(Vec::new()), 1);
        let all = (0..SERVICES + 10).map(|number| {
            let mut one = service();
            one.metadata.name = Some(format!("s{number}"));
            one
        });
        let told = services.hear(&Told::Services(all.collect()), 2);
        assert_eq!(told.len(), SERVICES);
    }
}
