// What applications do with Curator, one line per step; run against two servers the lines are equal.
//
// Steps that involve other threads are awaited, and what they report is gathered and printed sorted, so that the order of lines
// never depends on a thread. Times, session ids and random names are not printed.

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.CuratorEvent;
import org.apache.curator.framework.api.transaction.CuratorOp;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.VersionedValue;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.curator.retry.RetryOneTime;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

public class CuratorScript {
    static final long WAIT_SECONDS_MAX = 30;
    static final ExecutorService POOL = Executors.newCachedThreadPool();

    interface Step {
        Object run() throws Exception;
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] data) {
        return data == null ? "null" : new String(data, StandardCharsets.UTF_8);
    }

    static void say(String title, Step step) {
        String result;
        try {
            result = String.valueOf(step.run());
        } catch (KeeperException refused) {
            result = refused.code() + " " + refused.getPath();
        } catch (Exception failed) {
            result = failed.toString();
        }
        System.out.println(title + ": " + result);
    }

    static <T> T await(Future<T> future) throws Exception {
        return future.get(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
    }

    static void awaitTrue(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_SECONDS_MAX);
        while (!condition.call()) {
            if (System.nanoTime() > deadline) {
                System.out.println("gave up waiting for " + what);
                return;
            }
            Thread.sleep(5);
        }
    }

    static String show(Stat stat) {
        return "version " + stat.getVersion() + " cversion " + stat.getCversion() + " aversion " + stat.getAversion()
            + " length " + stat.getDataLength() + " children " + stat.getNumChildren()
            + (stat.getEphemeralOwner() == 0 ? "" : " ephemeral");
    }

    static CuratorFramework client(String hosts) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder().connectString(hosts).sessionTimeoutMs(20000)
            .connectionTimeoutMs(10000).retryPolicy(new RetryOneTime(100)).build();
        client.start();
        client.blockUntilConnected();
        return client;
    }

    public static void main(String[] arguments) throws Exception {
        String hosts = arguments[0];
        CuratorFramework client = client(hosts);
        CuratorFramework other = client(hosts);
        nodes(client);
        rights(hosts, client);
        transactions(client);
        watchers(client, other);
        caches(client, other);
        locks(client, other);
        leaders(client, other);
        barriers(client, other);
        counters(client, other);
        persistentNodes(client, other);
        discovery(client, other);
        plainClient(hosts);
        other.close();
        client.close();
        System.exit(0);
    }

    static void nodes(CuratorFramework client) {
        say("create", () -> client.create().forPath("/app", bytes("data")));
        say("create again", () -> client.create().forPath("/app"));
        say("create or set", () -> client.create().orSetData().forPath("/app", bytes("set instead")));
        say("create parents", () -> client.create().creatingParentsIfNeeded().forPath("/deep/er/still", bytes("x")));
        say("create container parents", () -> client.create().creatingParentContainersIfNeeded().forPath("/held/in/x"));
        say("create orphan", () -> client.create().forPath("/none/child"));
        say("ephemeral", () -> client.create().withMode(CreateMode.EPHEMERAL).forPath("/app/e"));
        say("child of ephemeral", () -> client.create().forPath("/app/e/child"));
        say("sequential", () -> client.create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/app/s-"));
        say("ephemeral sequential", () -> client.create().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/app/es-"));
        say("container", () -> client.create().withMode(CreateMode.CONTAINER).forPath("/app/container"));
        say("ttl", () -> client.create().withTtl(100000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/app/ttl"));
        say("ttl sequential", () ->
            client.create().withTtl(100000).withMode(CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL).forPath("/app/ttl-"));
        say("ttl 0", () -> client.create().withTtl(0).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/app/ttl0"));
        say("protected", () -> client.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
            .forPath("/app/guarded-").replaceAll("_c_[0-9a-f-]{36}-", "_c_-"));
        say("stat at creation", () -> {
            Stat stat = new Stat();
            client.create().storingStatIn(stat).forPath("/app/stat", bytes("12345"));
            return show(stat);
        });
        say("compressed", () -> {
            client.create().compressed().forPath("/app/compressed", bytes("zip zip zip zip"));
            return text(client.getData().decompressed().forPath("/app/compressed"));
        });
        say("get", () -> text(client.getData().forPath("/app")));
        say("get with stat", () -> {
            Stat stat = new Stat();
            client.getData().storingStatIn(stat).forPath("/app");
            return show(stat);
        });
        say("get none", () -> client.getData().forPath("/none"));
        say("set", () -> show(client.setData().forPath("/app", bytes("changed"))));
        say("set version", () -> show(client.setData().withVersion(2).forPath("/app", bytes("changed twice"))));
        say("set stale", () -> show(client.setData().withVersion(2).forPath("/app", bytes("never"))));
        say("set none", () -> show(client.setData().forPath("/none", bytes("x"))));
        say("exists", () -> show(client.checkExists().forPath("/app")));
        say("exists none", () -> client.checkExists().forPath("/none"));
        say("children", () -> {
            List<String> names = new ArrayList<>();
            for (String name : client.getChildren().forPath("/app")) {
                names.add(name.replaceAll("_c_[0-9a-f-]{36}-", "_c_-"));
            }
            Collections.sort(names);
            return names;
        });
        say("children of none", () -> client.getChildren().forPath("/none"));
        say("delete with children", () -> client.delete().forPath("/deep"));
        say("delete deep", () -> client.delete().deletingChildrenIfNeeded().forPath("/deep"));
        say("delete stale", () -> client.delete().withVersion(9).forPath("/app/stat"));
        say("delete", () -> client.delete().withVersion(0).forPath("/app/stat"));
        say("delete none", () -> client.delete().forPath("/none"));
        say("delete quietly", () -> client.delete().quietly().forPath("/none"));
        say("delete guaranteed", () -> client.delete().guaranteed().forPath("/app/compressed"));
        say("large", () -> client.create().forPath("/app/large", new byte[1000000]));
        say("large length", () -> client.getData().forPath("/app/large").length);
        say("background", () -> {
            CountDownLatch latch = new CountDownLatch(3);
            List<String> seen = new CopyOnWriteArrayList<>();
            for (String path : new String[] {"/app/b1", "/app/b2", "/app/b1"}) {
                client.create().inBackground((c, event) -> {
                    seen.add(event.getType() + " " + event.getResultCode() + " " + event.getPath());
                    latch.countDown();
                }).forPath(path);
            }
            latch.await(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
            return seen;
        });
        say("sync", () -> {
            CountDownLatch latch = new CountDownLatch(1);
            List<CuratorEvent> seen = new CopyOnWriteArrayList<>();
            client.sync().inBackground((c, event) -> {
                seen.add(event);
                latch.countDown();
            }).forPath("/app");
            latch.await(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
            return seen.get(0).getResultCode() + " " + seen.get(0).getPath();
        });
        say("configuration", () -> "'" + text(client.getConfig().forEnsemble()) + "'");
        say("reconfigure", () -> client.reconfig().joining("server.4=127.0.0.1:1:2;3").forEnsemble());
    }

    static void rights(String hosts, CuratorFramework anonymous) throws Exception {
        CuratorFramework alice = CuratorFrameworkFactory.builder().connectString(hosts)
            .authorization("digest", bytes("alice:secret")).retryPolicy(new RetryOneTime(100)).build();
        alice.start();
        say("create own", () -> alice.create().withACL(ZooDefs.Ids.CREATOR_ALL_ACL).forPath("/own", bytes("mine")));
        say("anonymous creator", () -> anonymous.create().withACL(ZooDefs.Ids.CREATOR_ALL_ACL).forPath("/own2"));
        say("rights", () -> alice.getACL().forPath("/own"));
        say("anonymous rights", () -> anonymous.getACL().forPath("/own"));
        say("anonymous get", () -> anonymous.getData().forPath("/own"));
        say("anonymous set", () -> anonymous.setData().forPath("/own", bytes("x")));
        say("anonymous child", () -> anonymous.create().forPath("/own/child"));
        List<ACL> readable = List.of(
            new ACL(ZooDefs.Perms.READ, ZooDefs.Ids.ANYONE_ID_UNSAFE), new ACL(ZooDefs.Perms.ALL, ZooDefs.Ids.AUTH_IDS));
        say("set rights", () -> show(alice.setACL().withVersion(0).withACL(readable).forPath("/own")));
        say("set rights stale", () -> show(alice.setACL().withVersion(0).withACL(readable).forPath("/own")));
        say("anonymous get", () -> text(anonymous.getData().forPath("/own")));
        say("anonymous rights", () -> anonymous.getACL().forPath("/own"));
        say("anonymous delete", () -> anonymous.delete().forPath("/own"));
        List<ACL> unknown = List.of(new ACL(ZooDefs.Perms.ALL, new Id("nobody", "x")));
        say("unknown scheme", () -> anonymous.create().withACL(unknown).forPath("/unknown"));
        alice.close();
    }

    static void transactions(CuratorFramework client) {
        say("transaction", () -> results(client.transaction().forOperations(
            client.transactionOp().create().forPath("/t", bytes("1")),
            client.transactionOp().create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/t/s-"),
            client.transactionOp().setData().withVersion(0).forPath("/t", bytes("2")),
            client.transactionOp().check().withVersion(1).forPath("/t"),
            client.transactionOp().create().withTtl(1000000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/t/ttl"),
            client.transactionOp().create().withMode(CreateMode.CONTAINER).forPath("/t/container"),
            client.transactionOp().create().withMode(CreateMode.EPHEMERAL).forPath("/t/e"),
            client.transactionOp().delete().forPath("/t/s-0000000000"))));
        CuratorOp[] failing = new CuratorOp[0];
        say("failing transaction", () -> {
            try {
                return results(client.transaction().forOperations(
                    client.transactionOp().create().forPath("/t/never"),
                    client.transactionOp().check().withVersion(99).forPath("/t"),
                    client.transactionOp().delete().forPath("/t")));
            } catch (KeeperException refused) {
                StringBuilder codes = new StringBuilder(refused.code().toString());
                for (OpResult result : refused.getResults()) {
                    codes.append(' ').append(((OpResult.ErrorResult) result).getErr());
                }
                return codes;
            }
        });
        say("nothing of it", () -> client.checkExists().forPath("/t/never"));
    }

    static String results(List<CuratorTransactionResult> results) {
        StringBuilder text = new StringBuilder();
        for (CuratorTransactionResult result : results) {
            Stat stat = result.getResultStat();
            text.append("\n  ").append(result.getType()).append(' ').append(result.getForPath()).append(' ')
                .append(result.getResultPath()).append(' ').append(stat == null ? "" : show(stat));
        }
        return text.toString();
    }

    /** Gathers what watchers report, to be printed when a known number has come. */
    static class Reports implements Watcher {
        final List<String> seen = new CopyOnWriteArrayList<>();

        @Override
        public void process(WatchedEvent event) {
            if (event.getType() != Event.EventType.None) {
                seen.add(event.getType() + " " + event.getPath());
            }
        }

        void show(String title, int count) throws Exception {
            awaitTrue(title, () -> seen.size() >= count);
            System.out.println(title + ": " + new ArrayList<>(seen));
            seen.clear();
        }
    }

    static void watchers(CuratorFramework client, CuratorFramework other) throws Exception {
        other.create().forPath("/w", bytes("x"));
        Reports once = new Reports();
        client.getData().usingWatcher(once).forPath("/w");
        client.checkExists().usingWatcher(once).forPath("/w/later");
        client.getChildren().usingWatcher(once).forPath("/w");
        other.setData().forPath("/w", bytes("y"));
        other.setData().forPath("/w", bytes("z"));
        other.create().forPath("/w/later");
        once.show("one-time watches", 3);

        Reports recursive = new Reports();
        PersistentWatcher persistent = new PersistentWatcher(client, "/w", true);
        CountDownLatch ready = new CountDownLatch(1);
        persistent.getListenable().addListener(recursive);
        persistent.getResetListenable().addListener(ready::countDown);
        persistent.start();
        ready.await(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
        other.create().creatingParentsIfNeeded().forPath("/w/a/b/c");
        other.setData().forPath("/w/a", bytes("x"));
        other.delete().deletingChildrenIfNeeded().forPath("/w/a");
        recursive.show("recursive watch", 7);
        persistent.close();

        Reports plain = new Reports();
        client.watchers().add().withMode(AddWatchMode.PERSISTENT).usingWatcher(plain).forPath("/w");
        other.setData().forPath("/w", bytes("1"));
        other.create().forPath("/w/child");
        other.setData().forPath("/w/child", bytes("unseen"));
        other.setData().forPath("/w", bytes("2"));
        plain.show("persistent watch", 3);
        say("remove watch", () -> client.watchers().remove(plain).forPath("/w"));
        plain.show("removal", 1);
        say("remove again", () -> client.watchers().remove(plain).forPath("/w"));
    }

    static void caches(CuratorFramework client, CuratorFramework other) throws Exception {
        other.create().creatingParentsIfNeeded().forPath("/cache/a/b", bytes("1"));
        CountDownLatch initialised = new CountDownLatch(1);
        List<String> seen = new CopyOnWriteArrayList<>();
        CuratorCache cache = CuratorCache.build(client, "/cache");
        cache.listenable().addListener(CuratorCacheListener.builder()
            .forInitialized(initialised::countDown)
            .forAll((type, before, after) -> seen.add(type + " " + describe(before) + " -> " + describe(after))).build());
        cache.start();
        initialised.await(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
        System.out.println("cache at first: " + new TreeSet<>(seen));
        seen.clear();
        // One at a time: a cache fetches what an event tells of, and may find it changed or gone.
        other.setData().forPath("/cache/a/b", bytes("2"));
        awaitTrue("change", () -> seen.size() >= 1);
        other.create().forPath("/cache/c", bytes("3"));
        awaitTrue("creation", () -> seen.size() >= 2);
        other.create().withMode(CreateMode.EPHEMERAL).forPath("/cache/e", bytes("4"));
        awaitTrue("ephemeral", () -> seen.size() >= 3);
        other.delete().forPath("/cache/c");
        awaitTrue("deletion", () -> seen.size() >= 4);
        System.out.println("cache later: " + new TreeSet<>(seen));
        Collection<String> paths = new TreeSet<>();
        cache.stream().forEach(data -> paths.add(describe(data)));
        System.out.println("cache content: " + paths);
        cache.close();
    }

    static String describe(ChildData data) {
        return data == null ? "nothing" : data.getPath() + "=" + text(data.getData());
    }

    static void locks(CuratorFramework client, CuratorFramework other) throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        List<Future<Integer>> turns = new ArrayList<>();
        for (int worker = 0; worker < 6; worker++) {
            InterProcessMutex mutex = new InterProcessMutex(worker % 2 == 0 ? client : other, "/locks/mutex");
            turns.add(POOL.submit(() -> {
                int done = 0;
                for (int turn = 0; turn < 5; turn++) {
                    mutex.acquire();
                    most.accumulateAndGet(inside.incrementAndGet(), Math::max);
                    inside.decrementAndGet();
                    mutex.release();
                    done++;
                }
                return done;
            }));
        }
        int total = 0;
        for (Future<Integer> turn : turns) {
            total += await(turn);
        }
        System.out.println("mutex: " + total + " turns, at most " + most + " at a time");

        InterProcessReadWriteLock readWrite = new InterProcessReadWriteLock(client, "/locks/rw");
        InterProcessReadWriteLock elsewhere = new InterProcessReadWriteLock(other, "/locks/rw");
        say("read lock", () -> readWrite.readLock().acquire(10, TimeUnit.SECONDS));
        say("second reader", () -> elsewhere.readLock().acquire(10, TimeUnit.SECONDS));
        say("writer waits", () -> elsewhere.writeLock().acquire(200, TimeUnit.MILLISECONDS));
        readWrite.readLock().release();
        elsewhere.readLock().release();
        say("writer enters", () -> elsewhere.writeLock().acquire(10, TimeUnit.SECONDS));
        elsewhere.writeLock().release();

        InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(client, "/locks/semaphore", 2);
        Collection<Lease> leases = semaphore.acquire(2, 10, TimeUnit.SECONDS);
        System.out.println("semaphore: " + leases.size() + " leases");
        InterProcessSemaphoreV2 crowded = new InterProcessSemaphoreV2(other, "/locks/semaphore", 2);
        say("third lease", () -> crowded.acquire(200, TimeUnit.MILLISECONDS));
        semaphore.returnAll(leases);
        say("third lease later", () -> {
            Lease lease = crowded.acquire(10, TimeUnit.SECONDS);
            crowded.returnLease(lease);
            return "granted";
        });
        InterProcessMultiLock several = new InterProcessMultiLock(client, List.of("/locks/m1", "/locks/m2"));
        say("several", () -> several.acquire(10, TimeUnit.SECONDS));
        several.release();
        awaitTrue("locks are gone", () -> other.getChildren().forPath("/locks/mutex").isEmpty());
    }

    static void leaders(CuratorFramework client, CuratorFramework other) throws Exception {
        LeaderLatch first = new LeaderLatch(client, "/leader/latch", "first");
        LeaderLatch second = new LeaderLatch(other, "/leader/latch", "second");
        first.start();
        first.await(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
        second.start();
        awaitTrue("two candidates", () -> second.getParticipants().size() == 2);
        System.out.println("latch: " + second.getLeader() + ", second leads: " + second.hasLeadership());
        first.close();
        second.await(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
        System.out.println("latch after close: " + second.getLeader());
        second.close();

        AtomicInteger reigns = new AtomicInteger();
        CountDownLatch both = new CountDownLatch(2);
        List<LeaderSelector> selectors = new ArrayList<>();
        for (CuratorFramework each : List.of(client, other)) {
            LeaderSelector selector = new LeaderSelector(each, "/leader/selector", new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework curator) {
                    reigns.incrementAndGet();
                    both.countDown();
                }
            });
            selectors.add(selector);
            selector.start();
        }
        both.await(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
        System.out.println("selector: " + reigns + " reigns");
        selectors.forEach(LeaderSelector::close);
    }

    static void barriers(CuratorFramework client, CuratorFramework other) throws Exception {
        DistributedBarrier barrier = new DistributedBarrier(client, "/barrier/single");
        barrier.setBarrier();
        Future<Boolean> waiting = POOL.submit(() ->
            new DistributedBarrier(other, "/barrier/single").waitOnBarrier(WAIT_SECONDS_MAX, TimeUnit.SECONDS));
        say("barrier closed", () -> new DistributedBarrier(other, "/barrier/single").waitOnBarrier(200, TimeUnit.MILLISECONDS));
        barrier.removeBarrier();
        System.out.println("barrier opens: " + await(waiting));
        List<Future<String>> members = new ArrayList<>();
        for (CuratorFramework each : List.of(client, other, client)) {
            members.add(POOL.submit(() -> {
                DistributedDoubleBarrier gate = new DistributedDoubleBarrier(each, "/barrier/double", 3);
                return gate.enter(WAIT_SECONDS_MAX, TimeUnit.SECONDS) + " " + gate.leave(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
            }));
        }
        for (Future<String> member : members) {
            System.out.println("double barrier: " + await(member));
        }
    }

    static void counters(CuratorFramework client, CuratorFramework other) throws Exception {
        SharedCount count = new SharedCount(client, "/count/shared", 5);
        SharedCount elsewhere = new SharedCount(other, "/count/shared", 5);
        count.start();
        elsewhere.start();
        VersionedValue<Integer> stale = elsewhere.getVersionedValue();
        count.setCount(7);
        awaitTrue("count", () -> elsewhere.getCount() == 7);
        say("try set stale", () -> elsewhere.trySetCount(stale, 9));
        say("try set", () -> elsewhere.trySetCount(elsewhere.getVersionedValue(), 9));
        awaitTrue("count back", () -> count.getCount() == 9);
        System.out.println("count: " + count.getCount());
        count.close();
        elsewhere.close();
        List<Future<Boolean>> increments = new ArrayList<>();
        for (CuratorFramework each : List.of(client, other)) {
            increments.add(POOL.submit(() -> {
                DistributedAtomicLong number = new DistributedAtomicLong(each, "/count/long", new RetryOneTime(50));
                for (int turn = 0; turn < 10; turn++) {
                    AtomicValue<Long> value = number.increment();
                    while (!value.succeeded()) {
                        value = number.increment();
                    }
                }
                return true;
            }));
        }
        for (Future<Boolean> increment : increments) {
            await(increment);
        }
        System.out.println("atomic long: " + new DistributedAtomicLong(client, "/count/long", new RetryOneTime(50)).get().postValue());
        SimpleDistributedQueue queue = new SimpleDistributedQueue(client, "/count/queue");
        for (int number = 0; number < 5; number++) {
            queue.offer(bytes("item " + number));
        }
        StringBuilder taken = new StringBuilder();
        for (int number = 0; number < 5; number++) {
            taken.append(text(new SimpleDistributedQueue(other, "/count/queue").poll(10, TimeUnit.SECONDS))).append(", ");
        }
        System.out.println("queue: " + taken + queue.poll());
    }

    static void persistentNodes(CuratorFramework client, CuratorFramework other) throws Exception {
        PersistentNode node = new PersistentNode(client, CreateMode.EPHEMERAL, false, "/keep/node", bytes("x"));
        node.start();
        node.waitForInitialCreate(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
        Stat before = other.checkExists().forPath("/keep/node");
        other.delete().forPath("/keep/node");
        awaitTrue("node comes back", () -> {
            Stat after = other.checkExists().forPath("/keep/node");
            return after != null && after.getCzxid() > before.getCzxid();
        });
        say("persistent node", () -> text(other.getData().forPath("/keep/node")));
        node.close();
        awaitTrue("node goes", () -> other.checkExists().forPath("/keep/node") == null);
        PersistentTtlNode ttl = new PersistentTtlNode(client, "/keep/ttl", 1000, bytes("y"));
        ttl.start();
        ttl.waitForInitialCreate(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
        awaitTrue("touch", () -> other.checkExists().forPath("/keep/ttl/touch") != null);
        say("ttl node", () -> text(other.getData().forPath("/keep/ttl")));
        ttl.close();
        GroupMember first = new GroupMember(client, "/keep/group", "first");
        GroupMember second = new GroupMember(other, "/keep/group", "second");
        first.start();
        second.start();
        awaitTrue("members", () -> first.getCurrentMembers().size() == 2 && second.getCurrentMembers().size() == 2);
        System.out.println("members: " + new TreeSet<>(first.getCurrentMembers().keySet()));
        second.close();
        awaitTrue("one member", () -> first.getCurrentMembers().size() == 1);
        System.out.println("members: " + new TreeSet<>(first.getCurrentMembers().keySet()));
        first.close();
    }

    static void discovery(CuratorFramework client, CuratorFramework other) throws Exception {
        ServiceInstance<Void> one = ServiceInstance.<Void>builder().name("shop").id("one").address("10.0.0.1").port(80).build();
        ServiceInstance<Void> two = ServiceInstance.<Void>builder().name("shop").id("two").address("10.0.0.2").port(80).build();
        ServiceDiscovery<Void> writer = ServiceDiscoveryBuilder.builder(Void.class).client(client).basePath("/services")
            .thisInstance(one).build();
        writer.start();
        writer.registerService(two);
        ServiceDiscovery<Void> reader =
            ServiceDiscoveryBuilder.builder(Void.class).client(other).basePath("/services").build();
        reader.start();
        say("services", reader::queryForNames);
        say("instances", () -> {
            Collection<String> found = new TreeSet<>();
            for (ServiceInstance<Void> instance : reader.queryForInstances("shop")) {
                found.add(instance.getId() + " " + instance.getAddress());
            }
            return found;
        });
        writer.unregisterService(two);
        say("instances", () -> reader.queryForInstances("shop").size());
        reader.close();
        writer.close();
        say("instances", () -> other.getChildren().forPath("/services/shop"));
    }

    /** What only the plain client offers. */
    static void plainClient(String hosts) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        Reports reports = new Reports();
        ZooKeeper plain = new ZooKeeper(hosts, 20000, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                connected.countDown();
            }
        });
        connected.await(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
        say("identities", () -> new TreeSet<>(plain.whoAmI().stream().map(Object::toString).map(String::trim).toList()).size());
        plain.create("/p", null, ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        plain.create("/p/e", bytes("x"), ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        say("null data", () -> text(plain.getData("/p", false, null)));
        say("ephemerals", plain::getEphemerals);
        say("ephemerals below", () -> plain.getEphemerals("/p"));
        say("descendants", () -> plain.getAllChildrenNumber("/p"));
        say("read several", () -> {
            StringBuilder text = new StringBuilder();
            for (OpResult result : plain.multi(List.of(Op.getData("/p/e"), Op.getChildren("/p"), Op.getData("/none")))) {
                text.append(' ').append(result.getClass().getSimpleName());
                if (result instanceof OpResult.GetDataResult) {
                    text.append(' ').append(text(((OpResult.GetDataResult) result).getData()));
                } else if (result instanceof OpResult.GetChildrenResult) {
                    text.append(' ').append(((OpResult.GetChildrenResult) result).getChildren());
                } else {
                    text.append(' ').append(((OpResult.ErrorResult) result).getErr());
                }
            }
            return text;
        });
        say("no operations", () -> plain.multi(List.of()).size());
        plain.addWatch("/p", reports, AddWatchMode.PERSISTENT_RECURSIVE);
        plain.create("/p/c", bytes("x"), ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        plain.setData("/p/c", bytes("y"), 0);
        plain.delete("/p/c", 1);
        reports.show("own changes", 3);
        say("bad path", () -> plain.exists("relative", false));
        long session = plain.getSessionId();
        byte[] password = plain.getSessionPasswd();
        CountDownLatch resumed = new CountDownLatch(1);
        ZooKeeper again = new ZooKeeper(hosts, 20000, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                resumed.countDown();
            }
        }, session, password);
        say("resumed", () -> resumed.await(WAIT_SECONDS_MAX, TimeUnit.SECONDS) && again.getSessionId() == session);
        say("still there", () -> again.getEphemerals());
        again.close();
        CountDownLatch expired = new CountDownLatch(1);
        ZooKeeper late = new ZooKeeper(hosts, 20000, event -> {
            if (event.getState() == Watcher.Event.KeeperState.Expired) {
                expired.countDown();
            }
        }, session, password);
        say("expired", () -> expired.await(WAIT_SECONDS_MAX, TimeUnit.SECONDS));
        late.close();
        plain.close();
    }
}
