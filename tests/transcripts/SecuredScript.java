// What Java's client and Curator do as somebody who has proved who he is, by a certificate or by SASL, one line per step.
//
// Arguments: where the server is; the scheme; then for each of three, the owner of everything, a stranger and the super user, his
// name and the file with his client's configuration. The last argument is the configuration of somebody who is not believed.

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryOneTime;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.client.ConnectStringParser;
import org.apache.zookeeper.client.StaticHostProvider;
import org.apache.zookeeper.client.ZKClientConfig;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;

public class SecuredScript {
    static String hosts;

    /** Somebody with a session. */
    static class Client {
        final CountDownLatch connected = new CountDownLatch(1);
        final CountDownLatch refused = new CountDownLatch(1);
        final List<String> states = new CopyOnWriteArrayList<>();
        final ZooKeeper keeper;

        Client(String config, long session, byte[] password) throws Exception {
            keeper = new ZooKeeper(hosts, 20000, event -> {
                if (event.getType() != Watcher.Event.EventType.None) {
                    return;
                }
                states.add(event.getState().toString());
                switch (event.getState()) {
                    case SyncConnected -> connected.countDown();
                    case AuthFailed, Closed -> refused.countDown();
                    default -> { }
                }
            }, session, password, false,
                new StaticHostProvider(new ConnectStringParser(hosts).getServerAddresses()), new ZKClientConfig(config));
        }

        Client(String config) throws Exception {
            this(config, 0, new byte[16]);
            connected.await(CuratorScript.WAIT_SECONDS_MAX, TimeUnit.SECONDS);
        }
    }

    static CuratorFramework curator(String config) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder().connectString(hosts).sessionTimeoutMs(20000)
            .connectionTimeoutMs(10000).retryPolicy(new RetryOneTime(100)).zkClientConfig(new ZKClientConfig(config)).build();
        client.start();
        client.blockUntilConnected();
        return client;
    }

    static List<ACL> only(String scheme, String name, int rights) {
        return Arrays.asList(new ACL(rights, new Id(scheme, name)));
    }

    static String identities(ZooKeeper keeper) throws Exception {
        return new TreeSet<>(keeper.whoAmI().stream().map(Object::toString).map(String::trim).toList()).toString();
    }

    public static void main(String[] arguments) throws Exception {
        hosts = arguments[0];
        String scheme = arguments[1];
        String ownName = arguments[2], otherName = arguments[4];
        Client own = new Client(arguments[3]), other = new Client(arguments[5]), admin = new Client(arguments[7]);
        for (Client each : List.of(own, other, admin)) {
            CuratorScript.say("identities", () -> identities(each.keeper));
        }
        rights(scheme, ownName, otherName, own.keeper, other.keeper, admin.keeper);
        sessions(arguments[3], own, other.keeper);
        recipes(scheme, ownName, arguments[3], arguments[5]);
        packets(scheme, arguments[3]);
        CuratorScript.say("somebody who is not believed", () -> {
            Client stranger = new Client(arguments[8], 0, new byte[16]);
            boolean isOver = stranger.refused.await(2, TimeUnit.SECONDS);
            String result = (isOver ? "is told so " : "is not told ") + new TreeSet<>(stranger.states);
            stranger.keeper.close();
            return result;
        });
        for (Client each : List.of(own, other, admin)) {
            each.keeper.close();
        }
        System.exit(0);
    }

    static void rights(String scheme, String ownName, String otherName, ZooKeeper own, ZooKeeper other, ZooKeeper admin) {
        List<ACL> mine = only(scheme, ownName, ZooDefs.Perms.ALL);
        CuratorScript.say("create", () -> own.create("/own", CuratorScript.bytes("mine"), mine, CreateMode.PERSISTENT));
        CuratorScript.say("create as whoever I am", () ->
            own.create("/creator", null, ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        for (String path : List.of("/own", "/creator")) {
            for (ZooKeeper each : List.of(own, other, admin)) {
                CuratorScript.say("get", () -> CuratorScript.text(each.getData(path, false, null)));
                CuratorScript.say("rights", () -> each.getACL(path, null));
            }
        }
        CuratorScript.say("set", () -> CuratorScript.show(other.setData("/own", null, -1)));
        CuratorScript.say("child", () -> other.create("/own/child", null, mine, CreateMode.PERSISTENT));
        CuratorScript.say("delete below", () -> {
            own.create("/own/below", null, mine, CreateMode.PERSISTENT);
            other.delete("/own/below", -1);
            return "done";
        });
        CuratorScript.say("several", () -> {
            List<OpResult> results = other.multi(List.of(
                Op.create("/several", null, ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT), Op.setData("/own", null, -1)));
            return results.size();
        });
        List<ACL> shared = new ArrayList<>(mine);
        shared.addAll(only(scheme, otherName, ZooDefs.Perms.READ));
        CuratorScript.say("share", () -> CuratorScript.show(own.setACL("/own", shared, 0)));
        CuratorScript.say("get", () -> CuratorScript.text(other.getData("/own", false, null)));
        CuratorScript.say("rights", () -> other.getACL("/own", null));
        CuratorScript.say("set", () -> CuratorScript.show(other.setData("/own", null, -1)));
        CuratorScript.say("set as the super user", () -> CuratorScript.show(admin.setData("/own", CuratorScript.bytes("his"), -1)));
        for (String name : List.of("", "nobody", "a@b@c", "a/b/c@d", "CN=a,O=b", "/")) {
            CuratorScript.say("a list for '" + name + "'", () ->
                own.create("/list-", null, only(scheme, name, ZooDefs.Perms.ALL), CreateMode.PERSISTENT_SEQUENTIAL));
        }
    }

    static void sessions(String config, Client own, ZooKeeper other) throws Exception {
        CuratorScript.Reports reports = new CuratorScript.Reports();
        CuratorScript.say("a long value", () -> {
            own.keeper.create("/long", new byte[1000000], ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.EPHEMERAL);
            return own.keeper.getData("/long", false, null).length;
        });
        own.keeper.addWatch("/watched", reports, AddWatchMode.PERSISTENT);
        own.keeper.create("/watched", null, ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        other.setData("/watched", CuratorScript.bytes("x"), 0);
        other.delete("/watched", 1);
        reports.show("changes of others", 3);
        long session = own.keeper.getSessionId();
        Client again = new Client(config, session, own.keeper.getSessionPasswd());
        CuratorScript.say("resumed", () ->
            again.connected.await(CuratorScript.WAIT_SECONDS_MAX, TimeUnit.SECONDS) && again.keeper.getSessionId() == session);
        CuratorScript.say("identities", () -> identities(again.keeper));
        CuratorScript.say("still there", () -> again.keeper.getEphemerals());
        CuratorScript.say("still mine", () -> CuratorScript.text(again.keeper.getData("/own", false, null)));
        again.keeper.close();
        CuratorScript.say("gone with its session", () -> other.exists("/long", false));
    }

    static void recipes(String scheme, String ownName, String ownConfig, String otherConfig) throws Exception {
        CuratorFramework own = curator(ownConfig), other = curator(otherConfig);
        CuratorScript.say("curator", () -> own.create().creatingParentsIfNeeded().withACL(only(scheme, ownName, ZooDefs.Perms.ALL), true)
            .forPath("/curator/own/x", CuratorScript.bytes("1")));
        CuratorScript.say("parents", () -> own.getACL().forPath("/curator/own"));
        CuratorScript.say("stranger", () -> other.getData().forPath("/curator/own/x"));
        CuratorScript.say("stranger's child", () -> other.create().forPath("/curator/own/y"));
        CuratorScript.say("lock", () -> {
            InterProcessMutex held = new InterProcessMutex(own, "/lock"), wanted = new InterProcessMutex(other, "/lock");
            held.acquire();
            boolean early = wanted.acquire(200, TimeUnit.MILLISECONDS);
            held.release();
            boolean late = wanted.acquire(CuratorScript.WAIT_SECONDS_MAX, TimeUnit.SECONDS);
            wanted.release();
            return early + " " + late;
        });
        CuratorScript.say("cache", () -> {
            try (CuratorCache cache = CuratorCache.build(own, "/curator")) {
                cache.start();
                CuratorScript.awaitTrue("the cache", () -> cache.get("/curator/own/x").isPresent());
                own.setData().forPath("/curator/own/x", CuratorScript.bytes("2"));
                CuratorScript.awaitTrue("the change", () ->
                    Arrays.equals(CuratorScript.bytes("2"), cache.get("/curator/own/x").get().getData()));
                return cache.size();
            }
        });
        own.close();
        other.close();
    }

    /** Who says by a packet who he is. */
    static void packets(String scheme, String config) throws Exception {
        for (String said : List.of(scheme, "digest", "nothing")) {
            Client client = new Client(config);
            client.keeper.addAuthInfo(said, CuratorScript.bytes("bob:secret"));
            CuratorScript.say("packet of " + said, () -> {
                // A client that the server has sent away may say so or answer with nothing.
                try {
                    return client.keeper.whoAmI() == null ? "refused" : identities(client.keeper);
                } catch (KeeperException refused) {
                    return "refused";
                }
            });
            client.keeper.close();
        }
    }
}
