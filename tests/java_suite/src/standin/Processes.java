package standin;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.server.SyncRequestProcessor;

/** Servers as processes of their own. They end with the JVM at the latest. */
final class Processes {
    /** The words before a property's first dot, or its whole name, that mean something to a server. */
    private static final Set<String> MEANT = Set.of("zookeeper", "jute", "znode", "readonlymode.enabled", "java.security.auth.login.config");

    private static final Set<Process> STARTED = ConcurrentHashMap.newKeySet();
    private static int files;

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> STARTED.forEach(Process::destroyForcibly)));
    }

    private Processes() {
    }

    /** Where servers write what they say. */
    static Path log() {
        return Path.of(System.getProperty("standin.log"));
    }

    /** A zoo.cfg in a folder of its own, because servers write beside it. */
    static synchronized Path write(String name, String text) throws IOException {
        Path folder = Path.of(System.getProperty("build.test.dir"), name + "-" + ++files).toAbsolutePath();
        return Files.writeString(Files.createDirectories(folder).resolve("zoo.cfg"), text);
    }

    /** A server with the system properties of this moment, which tests change as they like. */
    static Process start(Path configuration) throws IOException {
        List<String> command = new ArrayList<>(List.of(System.getProperty("standin.server")));
        for (String key : new TreeSet<>(System.getProperties().stringPropertyNames())) {
            if (isMeant(key)) {
                command.add("-D" + key + "=" + System.getProperty(key));
            }
        }
        // Tests set it by a method.
        command.add("-Dzookeeper.snapCount=" + SyncRequestProcessor.getSnapCount());
        command.add(configuration.toString());
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.redirectOutput(ProcessBuilder.Redirect.appendTo(new File(log().toString())));
        Process process = builder.start();
        STARTED.add(process);
        return process;
    }

    private static boolean isMeant(String key) {
        // Its class, which every test of access lists names, is none that a server in another language could load.
        boolean refused = System.getProperty(key).equals("org.apache.zookeeper.test.InvalidAuthProvider");
        return !refused && (MEANT.contains(key) || MEANT.contains(key.split("\\.")[0])) && !key.startsWith("zookeeper.junit");
    }

    /** Asks a server to end, and waits until it has. */
    static void stop(Process process) {
        if (process == null) {
            return;
        }
        process.destroy();
        boolean interrupted = Thread.interrupted();
        try {
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                throw new AssertionError("process " + process.pid() + " does not end when it is asked to");
            }
        } catch (InterruptedException e) {
            interrupted = true;
        } finally {
            process.destroyForcibly();
            STARTED.remove(process);
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
