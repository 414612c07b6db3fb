//! The listener, and a thread for each connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Service;
use crate::http::{Bounds, Connection};
use crate::life::Life;
use crate::problem::Problem;

/// How long answers may still be sent after all requests have ended, though the grace is over.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long nothing is accepted after the system has refused a connection, which it does while it lacks something.
const REST: Duration = Duration::from_millis(50);

/// What a server could not do before it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// Requests that were not finished in time.
    pub given_up: usize,
    /// Jobs that were, and whose pictures nobody has fetched.
    pub not_fetched: usize,
}

/// A service that listens.
pub struct Server {
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
    address: SocketAddr,
}

struct Shared {
    service: Service,
    bounds: Bounds,
    life: Life,
    connections: AtomicUsize,
}

impl Server {
    /// Accepts connections from now on.
    ///
    /// # Errors
    ///
    /// If the listener has no address, or the system no thread.
    pub fn start(listener: TcpListener, service: Service, bounds: Bounds) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (life, connections) = (Life::new(address.ip().is_loopback()), AtomicUsize::new(0));
        let shared = Arc::new(Shared { service, bounds, life, connections });
        let own = Arc::clone(&shared);
        let acceptor =
            thread::Builder::new().name("ddim-accept".to_owned()).spawn(move || accept(&own, &listener))?;
        Ok(Self { shared, acceptor, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it serves.
    pub fn service(&self) -> &Service {
        &self.shared.service
    }

    /// Takes no more requests to draw, and waits so long for those that there are, and for somebody to fetch the
    /// pictures of jobs that were under way; meanwhile it answers whoever asks how they stand.
    pub fn finish(self, grace: Duration) -> Undone {
        let Shared { service, life, .. } = &*self.shared;
        life.end();
        let (begun, jobs) = (Instant::now(), service.jobs_under_way());
        let given_up = service.engine.finish(grace);
        let not_fetched = service.wait_for_fetches(&jobs, grace.saturating_sub(begun.elapsed()));
        life.close();
        // It waits for a connection: here is one.
        let _ = TcpStream::connect_timeout(&reachable(self.address), LAST_WORDS);
        let _ = self.acceptor.join();
        life.wait(grace.saturating_sub(begun.elapsed()).max(LAST_WORDS));
        Undone { given_up, not_fetched }
    }
}

/// An address of this machine where something listens that listens everywhere.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    loop {
        let accepted = listener.accept();
        if shared.life.is_closed() {
            return;
        }
        match accepted {
            Ok((stream, _)) => shared.take(stream),
            Err(_) => thread::sleep(REST),
        }
    }
}

impl Shared {
    /// Gives the connection a thread.
    fn take(self: &Arc<Self>, stream: TcpStream) {
        let Ok(connection) = Connection::new(stream, self.bounds) else { return };
        if self.connections.fetch_add(1, Ordering::SeqCst) >= self.bounds.connections {
            self.refuse(connection);
            self.connections.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        let own = Arc::clone(self);
        let spawned = thread::Builder::new().name("ddim-client".to_owned()).spawn(move || {
            let _leaves = Leaves(&own.connections);
            own.service.converse(connection, &own.life);
        });
        if spawned.is_err() {
            self.connections.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn refuse(&self, mut connection: Connection) {
        let words = format!(
            "{} connections are open, as many as this server takes: ask again later",
            self.bounds.connections
        );
        connection.send(&Problem::of(503, "too_many_connections", words).answer().closing(), None);
    }
}

/// Counts a connection until its thread ends, however it does.
struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
