package standin;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.TreeSet;
import javax.security.auth.login.Configuration;
import org.apache.zookeeper.server.auth.ProviderRegistry;
import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * Runs the classes of a table, one after the other, each with the system properties that this JVM began with.
 *
 * <p>The arguments are the table, whether its exceptions hold ({@code true} or {@code false}), and which of how many parts of it to
 * run. The last line is {@code N passed, N failed}.
 */
public final class Suite {
    private static final PrintStream OUT = System.out;

    private Suite() {
    }

    /** A class of the table, and those of its methods that are left out. */
    private static final class Row {
        final String name;
        final TreeSet<String> without = new TreeSet<>();

        Row(String name) {
            this.name = name;
        }
    }

    public static void main(String[] arguments) throws IOException {
        // What tests print is of use beside what they log only.
        System.setOut(System.err);
        boolean exceptions = Boolean.parseBoolean(arguments[1]);
        int part = Integer.parseInt(arguments[2]);
        int parts = Integer.parseInt(arguments[3]);
        Properties beginning = (Properties) System.getProperties().clone();
        List<Row> rows = read(Path.of(arguments[0]));
        Count count = new Count();
        for (int i = part; i < rows.size(); i += parts) {
            System.setProperties((Properties) beginning.clone());
            // What is read once may be that of the class before.
            Configuration.setConfiguration(null);
            ProviderRegistry.reset();
            run(rows.get(i), exceptions, count);
        }
        OUT.println(count.passed + " passed, " + count.failed + " failed");
        // Threads of clients may be left.
        System.exit(count.failed == 0 ? 0 : 1);
    }

    /** A line is {@code Class}, or {@code - method: reason} for the class above it. */
    private static List<Row> read(Path table) throws IOException {
        List<Row> rows = new ArrayList<>();
        for (String line : Files.readAllLines(table)) {
            if (line.isBlank() || line.startsWith("#")) {
                continue;
            }
            if (line.startsWith("- ")) {
                rows.get(rows.size() - 1).without.add(line.substring(2, line.indexOf(": ")));
            } else {
                rows.add(new Row("org.apache.zookeeper." + line));
            }
        }
        return rows;
    }

    private static void run(Row row, boolean exceptions, Count count) {
        TreeSet<String> unseen = new TreeSet<>(row.without);
        PostDiscoveryFilter filter = test -> {
            String method = method(test);
            unseen.remove(method);
            return FilterResult.includedIf(!exceptions || method == null || !row.without.contains(method));
        };
        LauncherDiscoveryRequest request;
        try {
            request = LauncherDiscoveryRequestBuilder.request()
                .configurationParameter("junit.jupiter.execution.timeout.default", "60 s")
                .selectors(selectClass(Class.forName(row.name))).filters(filter).build();
        } catch (ClassNotFoundException | LinkageError e) {
            count.fail(row.name, e);
            return;
        }
        int before = count.passed + count.failed;
        long started = System.nanoTime();
        Launcher launcher = LauncherFactory.create();
        launcher.execute(request, count);
        System.err.println("SUITE " + row.name + " took " + (System.nanoTime() - started) / 1_000_000 + " ms");
        if (count.passed + count.failed == before) {
            count.fail(row.name, new AssertionError("there is no test in it"));
        }
        if (!unseen.isEmpty()) {
            count.fail(row.name, new AssertionError("the table leaves out what is not there: " + unseen));
        }
    }

    private static String method(TestDescriptor test) {
        return test.getSource().filter(MethodSource.class::isInstance).map(source -> ((MethodSource) source).getMethodName()).orElse(null);
    }

    /** Counts tests, and prints those that fail. */
    private static final class Count implements TestExecutionListener {
        int passed;
        int failed;

        @Override
        public void executionSkipped(TestIdentifier test, String reason) {
            fail(test.getUniqueId(), new AssertionError("skipped: " + reason));
        }

        @Override
        public void executionFinished(TestIdentifier test, TestExecutionResult result) {
            if (result.getStatus() != TestExecutionResult.Status.SUCCESSFUL) {
                fail(test.getUniqueId(), result.getThrowable().orElse(null));
            } else if (test.isTest()) {
                passed++;
            }
        }

        void fail(String test, Throwable why) {
            failed++;
            StringWriter trace = new StringWriter();
            if (why != null) {
                why.printStackTrace(new PrintWriter(trace));
            }
            OUT.println("FAILED " + test);
            trace.toString().lines().limit(12).forEach(OUT::println);
        }
    }
}
