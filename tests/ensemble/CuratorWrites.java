// An application of Curator that goes on writing while its servers change, and remembers what was acknowledged.
//
// It holds a lock and an ephemeral in one session all along, and a cache of what it writes. Whoever runs it gives it words, a line
// each: `more` is answered when every writer has had so many more writes acknowledged; `end` stops them, and tells; `close` ends the
// session. What it tells can be held against the trees of all servers.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;

public class CuratorWrites {
    static final int WRITERS = 2;
    static final int MORE = 30;
    static final int SESSION_MS = 30000;
    static final long CACHE_MS_MAX = 30000;

    static class Writer extends Thread {
        final CuratorFramework client;
        final String name;
        final AtomicInteger acknowledged = new AtomicInteger();
        final Set<String> created = new ConcurrentSkipListSet<>();
        volatile int asked;
        volatile boolean ends;
        volatile Exception failure;

        Writer(CuratorFramework client, int number) {
            this.client = client;
            name = "/curator/writer-" + number;
        }

        @Override
        public void run() {
            try {
                while (!ends) {
                    asked++;
                    String path = name + "-" + asked;
                    try {
                        client.create().forPath(path, path.getBytes());
                    } catch (KeeperException.NodeExistsException whatThisAskedForBefore) {
                        // The answer to the first attempt was lost with its server.
                    }
                    created.add(path);
                    client.setData().forPath(name, Integer.toString(asked).getBytes());
                    acknowledged.set(asked);
                }
            } catch (Exception failed) {
                failure = failed;
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        List<ConnectionState> states = new CopyOnWriteArrayList<>();
        CuratorFramework client = CuratorFrameworkFactory.builder().connectString(arguments[0]).sessionTimeoutMs(SESSION_MS)
            .connectionTimeoutMs(10000).retryPolicy(new RetryForever(10)).build();
        client.getConnectionStateListenable().addListener((of, state) -> states.add(state));
        client.start();
        client.blockUntilConnected();
        long session = client.getZookeeperClient().getZooKeeper().getSessionId();
        client.create().forPath("/curator");
        client.create().withMode(CreateMode.EPHEMERAL).forPath("/curator-ephemeral");
        InterProcessMutex lock = new InterProcessMutex(client, "/curator-lock");
        lock.acquire();
        CuratorCache cache = CuratorCache.build(client, "/curator");
        cache.start();
        List<Writer> writers = new ArrayList<>();
        for (int number = 0; number < WRITERS; number++) {
            Writer writer = new Writer(client, number);
            client.create().forPath(writer.name, "0".getBytes());
            writers.add(writer);
        }
        for (Writer writer : writers) {
            writer.start();
        }
        say("begun");
        BufferedReader words = new BufferedReader(new InputStreamReader(System.in));
        for (String word; (word = words.readLine()) != null; ) {
            if (word.equals("more")) {
                awaitMore(writers);
                say("more");
            } else if (word.equals("end")) {
                tell(client, session, states, cache, writers);
                say("end");
            } else if (word.equals("close")) {
                lock.release();
                client.close();
                say("closed");
                System.exit(0);
            }
        }
    }

    static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    static void awaitMore(List<Writer> writers) throws Exception {
        for (Writer writer : writers) {
            int goal = writer.acknowledged.get() + MORE;
            while (writer.acknowledged.get() < goal && writer.failure == null) {
                Thread.sleep(5);
            }
        }
    }

    static void tell(
            CuratorFramework client, long session, List<ConnectionState> states, CuratorCache cache, List<Writer> writers)
            throws Exception {
        for (Writer writer : writers) {
            writer.ends = true;
        }
        for (Writer writer : writers) {
            writer.join();
            if (writer.failure != null) {
                say("failure " + writer.failure);
            }
            say("writer " + writer.name + " " + writer.acknowledged + " " + writer.asked);
            for (String path : writer.created) {
                say("created " + path);
            }
        }
        say("session " + Long.toHexString(session) + " " + Long.toHexString(client.getZookeeperClient().getZooKeeper().getSessionId()));
        say("suspended " + Collections.frequency(states, ConnectionState.SUSPENDED));
        say("lost " + Collections.frequency(states, ConnectionState.LOST));
        TreeSet<String> lacking = new TreeSet<>();
        long until = System.currentTimeMillis() + CACHE_MS_MAX;
        do {
            lacking.clear();
            for (Writer writer : writers) {
                writer.created.stream().filter(path -> cache.get(path).isEmpty()).forEach(lacking::add);
            }
        } while (!lacking.isEmpty() && System.currentTimeMillis() < until);
        for (String path : lacking) {
            say("not cached " + path);
        }
    }
}
