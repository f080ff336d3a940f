package standin;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.WeakHashMap;
import java.util.stream.Collectors;
import org.apache.zookeeper.server.quorum.QuorumPeer;
import org.apache.zookeeper.server.quorum.QuorumPeer.LearnerType;
import org.apache.zookeeper.server.quorum.QuorumPeer.ServerState;
import org.apache.zookeeper.server.quorum.QuorumPeerConfig;

/** A member of an ensemble: a process with a zoo.cfg that says what a test told Java's object. */
public final class Member {
    private static final Map<QuorumPeer, Process> RUNNING = Collections.synchronizedMap(new WeakHashMap<>());

    private Member() {
    }

    /** Begins the process, and waits for its end. */
    public static void run(QuorumPeer peer) {
        try {
            Path data = peer.getTxnFactory().getSnapDir().getParentFile().toPath();
            Files.writeString(data.resolve("myid"), peer.getMyId() + "\n");
            Process process = Processes.start(Processes.write("member-" + peer.getMyId(), configuration(peer)));
            RUNNING.put(peer, process);
            process.waitFor();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static String configuration(QuorumPeer peer) {
        File snapshots = peer.getTxnFactory().getSnapDir().getParentFile();
        File logs = peer.getTxnFactory().getDataLogDir().getParentFile();
        List<String> members = peer.getQuorumVerifier().toString().lines()
            .filter(line -> !line.startsWith("version=")).collect(Collectors.toList());
        return String.join("\n",
            "tickTime=" + peer.getTickTime(),
            "initLimit=" + peer.getInitLimit(),
            "syncLimit=" + peer.getSyncLimit(),
            "dataDir=" + snapshots,
            "dataLogDir=" + logs,
            "minSessionTimeout=" + peer.getMinSessionTimeout(),
            "maxSessionTimeout=" + peer.getMaxSessionTimeout(),
            "localSessionsEnabled=" + peer.areLocalSessionsEnabled(),
            "localSessionsUpgradingEnabled=" + peer.isLocalSessionsUpgradingEnabled(),
            "reconfigEnabled=" + QuorumPeerConfig.isReconfigEnabled(),
            "standaloneEnabled=" + QuorumPeerConfig.isStandaloneEnabled(),
            peer.getLearnerType() == LearnerType.OBSERVER ? "peerType=observer" : "",
            String.join("\n", members),
            "");
    }

    /** Ends the process, if there is one. */
    public static void stop(QuorumPeer peer) {
        Processes.stop(RUNNING.get(peer));
    }

    /** What the process says that it is; null before there is one. */
    public static ServerState state(QuorumPeer peer) {
        Process process = RUNNING.get(peer);
        if (process == null) {
            return null;
        }
        String answer = process.isAlive() ? srvr(peer.getClientPort()) : "";
        if (answer.contains("Mode: leader")) {
            return ServerState.LEADING;
        } else if (answer.contains("Mode: follower")) {
            return ServerState.FOLLOWING;
        }
        return answer.contains("Mode: observer") ? ServerState.OBSERVING : ServerState.LOOKING;
    }

    /** The answer to {@code srvr}; nothing while nobody listens. */
    private static String srvr(int port) {
        try (Socket socket = new Socket()) {
            socket.setSoTimeout(5000);
            socket.connect(new InetSocketAddress("127.0.0.1", port), 5000);
            socket.getOutputStream().write("srvr".getBytes(StandardCharsets.US_ASCII));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException notYet) {
            return "";
        }
    }
}
