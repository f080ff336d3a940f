package standin;

import static net.bytebuddy.matcher.ElementMatchers.named;
import static net.bytebuddy.matcher.ElementMatchers.takesArguments;

import java.lang.instrument.Instrumentation;
import java.util.HashSet;
import java.util.Set;
import net.bytebuddy.agent.builder.AgentBuilder;
import net.bytebuddy.asm.Advice;
import net.bytebuddy.asm.Advice.OnMethodEnter;
import net.bytebuddy.asm.Advice.OnMethodExit;
import net.bytebuddy.asm.Advice.OnNonDefaultValue;
import net.bytebuddy.asm.Advice.Return;
import net.bytebuddy.asm.Advice.This;
import net.bytebuddy.description.method.MethodDescription;
import net.bytebuddy.dynamic.ClassFileLocator;
import net.bytebuddy.dynamic.DynamicType;
import net.bytebuddy.matcher.ElementMatcher;
import net.bytebuddy.pool.TypePool;
import org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.zookeeper.server.quorum.QuorumPeer;
import org.apache.zookeeper.server.quorum.QuorumPeer.ServerState;

/**
 * Lets Apache ZooKeeper's tests start processes where they start servers in their own JVM.
 *
 * <p>The tests and the library stay as they were published. What changes, while classes are loaded, are the few methods at which a
 * server begins, ends and says what it is: a factory of connections is the {@link Standalone} one, the thread of a member waits for
 * its process ({@link Member}). What looks into a server by JMX sees nothing.
 */
public final class Agent {
    private Agent() {
    }

    /** What the JVM calls for {@code -javaagent}. */
    public static void premain(String arguments, Instrumentation instrumentation) {
        new AgentBuilder.Default()
            .disableClassFormatChanges()
            .with(AgentBuilder.Listener.StreamWriting.toSystemError().withErrorsOnly())
            .type(named("org.apache.zookeeper.server.ServerCnxnFactory"))
            .transform((b, type, loader, module, domain) ->
                replace(b, "Factory", named("createFactory").and(takesArguments(0))))
            .type(named("org.apache.zookeeper.server.quorum.QuorumPeer"))
            .transform((b, type, loader, module, domain) -> {
                b = replace(b, "Nothing", named("loadDataBase").or(named("startServerCnxnFactory")).or(named("startLeaderElection")));
                b = replace(b, "MemberRuns", named("run").and(takesArguments(0)));
                b = replace(b, "MemberStops", named("shutdown"));
                return replace(b, "MemberState", named("getPeerState"));
            })
            .type(named("org.apache.zookeeper.test.JMXEnv"))
            .transform((b, type, loader, module, domain) -> {
                b = replace(b, "NoBeans", named("ensureAll").or(named("ensureOnly")).or(named("ensureParent")));
                return replace(b, "Nothing", named("ensureNone").or(named("dump")));
            })
            .installOn(instrumentation);
    }

    /** Looked up by name: loading a piece of advice would load the class that it is for before it can be changed. */
    private static DynamicType.Builder<?> replace(
        DynamicType.Builder<?> builder, String advice, ElementMatcher<? super MethodDescription> methods) {
        return builder.visit(Advice.to(
            TypePool.Default.ofSystemLoader().describe("standin.Agent$" + advice).resolve(),
            ClassFileLocator.ForClassLoader.ofSystemLoader()).on(methods));
    }

    /** A method does nothing. */
    static final class Nothing {
        @OnMethodEnter(skipOn = OnNonDefaultValue.class)
        static boolean enter() {
            return true;
        }
    }

    /** A look for beans finds none, and all that it wanted. */
    static final class NoBeans {
        @OnMethodEnter(skipOn = OnNonDefaultValue.class)
        static boolean enter() {
            return true;
        }

        @OnMethodExit
        static void exit(@Return(readOnly = false) Set<?> found) {
            found = new HashSet<>();
        }
    }

    /** Whatever factory is asked for. */
    static final class Factory {
        @OnMethodEnter(skipOn = OnNonDefaultValue.class)
        static boolean enter() {
            return true;
        }

        @OnMethodExit
        static void exit(@Return(readOnly = false) ServerCnxnFactory factory) {
            factory = new Standalone();
        }
    }

    /** What the thread of a member does. */
    static final class MemberRuns {
        @OnMethodEnter(skipOn = OnNonDefaultValue.class)
        static boolean enter(@This QuorumPeer peer) {
            Member.run(peer);
            return true;
        }
    }

    /** How a member is stopped. */
    static final class MemberStops {
        @OnMethodEnter(skipOn = OnNonDefaultValue.class)
        static boolean enter(@This QuorumPeer peer) {
            Member.stop(peer);
            return true;
        }
    }

    /** What a member is; before it has a process, what its constructor left. */
    static final class MemberState {
        @OnMethodEnter(skipOn = OnNonDefaultValue.class)
        static ServerState enter(@This QuorumPeer peer) {
            return Member.state(peer);
        }

        @OnMethodExit
        static void exit(@Advice.Enter ServerState asked, @Return(readOnly = false) ServerState state) {
            if (asked != null) {
                state = asked;
            }
        }
    }
}
