//! Clusters of brokers: several nodes on free ports of 127.0.0.1, each with a folder of its own, that share the sessions of
//! their clients. A node can be killed and started again.

use std::path::Path;

use callmq::client::Client;
use callmq::client::ProtocolVersion::{self, V5, V311};

use crate::brand::{Brand, aedes};
use crate::mosquitto::{PASSWORD, USER, free_port};
use crate::service::{Failure, Service, Start, program, write};

/// A running cluster, gone when the value is dropped.
pub struct Cluster {
    /// What it is made of.
    pub name: &'static str,
    /// The version of the protocol to use with it.
    pub version: ProtocolVersion,
    nodes: Vec<Node>,
    /// What the nodes need beside themselves.
    _store: Option<Service>,
}

struct Node {
    port: u16,
    service: Service,
}

impl Cluster {
    /// Three nodes of NATS. Each keeps every session; two of them have to agree.
    pub fn nats() -> Self {
        started(|| {
            let members: [Member; 3] = std::array::from_fn(|_| Member::new());
            let routes: Vec<_> = members.iter().map(|member| member.route()).collect();
            let nodes = members
                .iter()
                .map(|member| {
                    let service =
                        Service::start("nats-node", |folder| nats(folder, member, &routes.join(", ")))?;
                    Ok(Node {
                        port: member.mqtt,
                        service,
                    })
                })
                .collect::<Result<_, Failure>>()?;
            Ok(Self {
                name: "NATS, 3 nodes",
                version: V311,
                nodes,
                _store: None,
            })
        })
    }

    /// Two nodes of aedes, and a redis that keeps the sessions.
    pub fn aedes() -> Self {
        started(|| {
            let redis = free_port();
            let store = Service::start("redis", |_| redis_server(redis))?;
            let nodes = (1..=2)
                .map(|number| {
                    let port = free_port();
                    let service = Service::start("aedes-node", |_| aedes_node(number, port, redis))?;
                    Ok(Node { port, service })
                })
                .collect::<Result<_, Failure>>()?;
            Ok(Self {
                name: "aedes, 2 nodes over redis",
                version: V5,
                nodes,
                _store: Some(store),
            })
        })
    }

    /// How many nodes there are.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes as a list of servers that begins with this one.
    pub fn servers(&self, first: usize) -> Vec<String> {
        let ports = self.nodes.iter().map(|node| node.port);
        ports
            .clone()
            .chain(ports)
            .skip(first % self.size())
            .take(self.size())
            .map(|port| format!("mqtt://{USER}:{PASSWORD}@127.0.0.1:{port}"))
            .collect()
    }

    /// The node that a client is connected to.
    ///
    /// # Panics
    ///
    /// When it is not connected.
    pub fn node_of(&self, client: &Client) -> usize {
        let port = client.server().and_then(|server| server.port());
        let node = self.nodes.iter().position(|node| Some(node.port) == port);
        node.unwrap_or_else(|| panic!("{} is at {port:?}", client.client_id()))
    }

    /// Ends a node with SIGKILL.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].service.kill();
    }

    /// Starts a node again, with what it had stored.
    ///
    /// # Panics
    ///
    /// When it does not start, with what it said.
    pub fn restart(&mut self, node: usize) {
        self.nodes[node].service.restart();
    }

    /// The last of what each node has logged.
    pub fn log_tail(&self, lines: usize) -> String {
        let tail = |(number, node): (usize, &Node)| {
            format!("-- node {number}\n{}\n", node.service.log().tail(lines))
        };
        self.nodes.iter().enumerate().map(tail).collect()
    }
}

/// Starts a cluster. Somebody else may take a port between our release and the bind of whom it is for: then all of them are
/// new.
fn started(start: impl Fn() -> Result<Cluster, Failure>) -> Cluster {
    let mut failures = Vec::new();
    for _ in 0..3 {
        match start() {
            Ok(cluster) => return cluster,
            Err(Failure::NotInstalled(what)) => panic!(
                "This test needs a cluster, and {what}. Install NATS ({}), redis (apt-get install --no-install-recommends \
                 redis-server) and aedes ({}), or run the tests without the feature `brokers`.",
                Brand::Nats.package(),
                Brand::Aedes.package(),
            ),
            Err(Failure::NotStarted(said)) => failures.push(said),
        }
    }
    panic!("the cluster does not start:\n{}", failures.join("\n"));
}

/// The ports of one NATS server.
struct Member {
    mqtt: u16,
    clients: u16,
    cluster: u16,
}

impl Member {
    fn new() -> Self {
        Self {
            mqtt: free_port(),
            clients: free_port(),
            cluster: free_port(),
        }
    }

    fn route(&self) -> String {
        format!("\"nats://127.0.0.1:{}\"", self.cluster)
    }
}

fn nats(folder: &Path, member: &Member, routes: &str) -> Result<Start, String> {
    let program = program("nats-server", &["/usr/sbin"])?;
    let Member {
        mqtt,
        clients,
        cluster,
    } = member;
    // What a client has not acknowledged comes again after `ack_wait`, also when it has moved to another node.
    let configuration = format!(
        "server_name: node-{cluster}
listen: \"127.0.0.1:{clients}\"
jetstream {{
  store_dir: {:?}
}}
mqtt {{
  listen: \"127.0.0.1:{mqtt}\"
  ack_wait: \"2s\"
}}
cluster {{
  name: callmq
  listen: \"127.0.0.1:{cluster}\"
  routes: [{routes}]
}}
authorization {{
  users = [ {{user: {USER}, password: {PASSWORD}}} ]
}}
",
        folder.join("jetstream").display().to_string(),
    );
    Ok(Start {
        program,
        arguments: vec!["-c".into(), write(folder, "nats.conf", &configuration)],
        environment: Vec::new(),
        ready: "Server is ready",
        servers: 1,
    })
}

fn redis_server(port: u16) -> Result<Start, String> {
    let program = program("redis-server", &["/usr/sbin"])?;
    let arguments = format!("--bind 127.0.0.1 --port {port} --appendonly no");
    Ok(Start {
        program,
        // Nothing is written to a disk.
        arguments: arguments
            .split(' ')
            .chain(["--save", ""])
            .map(String::from)
            .collect(),
        environment: Vec::new(),
        ready: "Ready to accept connections",
        servers: 1,
    })
}

fn aedes_node(number: usize, port: u16, redis: u16) -> Result<Start, String> {
    aedes::with_settings(format!(
        r#"{{"tcp": {port}, "redis": {redis}, "user": "{USER}", "password": "{PASSWORD}", "options": {{"id": "node-{number}"}}}}"#
    ))
}
