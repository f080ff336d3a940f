package standin;

import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.Map;
import org.apache.zookeeper.server.ServerCnxn;
import org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;

/** A standalone server: the port is the factory's, directories and times are those of the server that a test hands to it. */
public final class Standalone extends ServerCnxnFactory {
    private InetSocketAddress address;
    private int connections = 60;
    private Process process;

    @Override
    public void configure(InetSocketAddress address, int connections, int backlog, boolean secure) {
        this.address = address;
        // Java's factories keep their default for -1.
        if (connections >= 0) {
            this.connections = connections;
        }
        this.secure = secure;
    }

    @Override
    public void reconfigure(InetSocketAddress address) {
        this.address = address;
    }

    @Override
    public void startup(ZooKeeperServer server, boolean start) throws IOException, InterruptedException {
        setZooKeeperServer(server);
        process = Processes.start(Processes.write("standalone", configuration(server)));
        waitUntilBound();
    }

    private String configuration(ZooKeeperServer server) {
        File snapshots = server.getTxnLogFactory().getSnapDir().getParentFile();
        File logs = server.getTxnLogFactory().getDataLogDir().getParentFile();
        return String.join("\n",
            "tickTime=" + server.getTickTime(),
            "dataDir=" + snapshots,
            "dataLogDir=" + logs,
            (secure ? "secureClientPort=" : "clientPort=") + address.getPort(),
            (secure ? "secureClientPortAddress=" : "clientPortAddress=") + address.getAddress().getHostAddress(),
            "maxClientCnxns=" + connections,
            "minSessionTimeout=" + server.getMinSessionTimeout(),
            "maxSessionTimeout=" + server.getMaxSessionTimeout(),
            "");
    }

    private void waitUntilBound() throws IOException, InterruptedException {
        InetAddress host = address.getAddress().isAnyLocalAddress() ? InetAddress.getLoopbackAddress() : address.getAddress();
        while (true) {
            try (Socket socket = new Socket()) {
                socket.connect(new InetSocketAddress(host, address.getPort()));
                return;
            } catch (IOException notYet) {
                if (!process.isAlive()) {
                    throw new IOException("the server ended with " + process.exitValue() + ", see " + Processes.log());
                }
                Thread.sleep(2);
            }
        }
    }

    @Override
    public void shutdown() {
        Processes.stop(process);
    }

    @Override
    public void join() throws InterruptedException {
        if (process != null) {
            process.waitFor();
        }
    }

    @Override
    public void start() {
    }

    @Override
    public int getLocalPort() {
        return address.getPort();
    }

    @Override
    public InetSocketAddress getLocalAddress() {
        return address;
    }

    @Override
    public int getMaxClientCnxnsPerHost() {
        return connections;
    }

    @Override
    public void setMaxClientCnxnsPerHost(int connections) {
        this.connections = connections;
    }

    @Override
    public int getSocketListenBacklog() {
        return -1;
    }

    // A test that looks at connections from within must fail, and not find none.

    @Override
    public Iterable<ServerCnxn> getConnections() {
        throw new UnsupportedOperationException("the server's connections are in another process");
    }

    @Override
    public void closeAll(ServerCnxn.DisconnectReason reason) {
        throw new UnsupportedOperationException("the server's connections are in another process");
    }

    @Override
    public void resetAllConnectionStats() {
        throw new UnsupportedOperationException("the server's connections are in another process");
    }

    @Override
    public Iterable<Map<String, Object>> getAllConnectionInfo(boolean brief) {
        throw new UnsupportedOperationException("the server's connections are in another process");
    }
}
