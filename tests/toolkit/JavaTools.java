import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.function.Consumer;
import org.apache.zookeeper.util.ServiceUtils;

/**
 * Runs the main methods of Java's tools one after the other in one virtual machine, as whoever reads each line of its input
 * asks: class, input and words, in Base64. Answers each with exit code, output and complaints.
 */
public class JavaTools {

    /** A tool ends. */
    static class Exit extends Error {

        final int code;

        Exit(int code) {
            this.code = code;
        }

    }

    public static void main(String[] args) throws Exception {
        Consumer<Integer> exit = code -> {
            throw new Exit(code);
        };
        ServiceUtils.setSystemExitProcedure(exit);
        PrintStream answers = System.out;
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in));
        for (String line = questions.readLine(); line != null; line = questions.readLine()) {
            String[] fields = Arrays.stream(line.split(" ", -1)).map(JavaTools::decoded).toArray(String[]::new);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            System.setIn(new ByteArrayInputStream(fields[1].getBytes(StandardCharsets.UTF_8)));
            System.setOut(new PrintStream(out, false, "UTF-8"));
            System.setErr(new PrintStream(err, false, "UTF-8"));
            int code = run(fields[0], Arrays.copyOfRange(fields, 2, fields.length));
            System.out.flush();
            System.err.flush();
            answers.println(code + " " + encoded(out) + " " + encoded(err));
            answers.flush();
        }
    }

    private static int run(String name, String[] words) throws Exception {
        Throwable thrown;
        try {
            Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) words);
            return 0;
        } catch (InvocationTargetException e) {
            thrown = e.getCause();
        }
        if (thrown instanceof Exit) {
            return ((Exit) thrown).code;
        }
        // As a virtual machine ends whose first thread throws.
        System.err.print("Exception in thread \"main\" ");
        thrown.printStackTrace();
        return 1;
    }

    private static String decoded(String field) {
        return new String(Base64.getDecoder().decode(field), StandardCharsets.UTF_8);
    }

    private static String encoded(ByteArrayOutputStream bytes) {
        return Base64.getEncoder().encodeToString(bytes.toByteArray());
    }

}
