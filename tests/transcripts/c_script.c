/* A session of the C library from first to last call, one line per step; run against two servers the lines are equal.
 *
 * Every call is synchronous, or awaited before the next one, and events are gathered by the watcher and printed at fixed
 * points, sorted as they came: the order of lines never depends on a thread.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define WAIT_SECONDS_MAX 20

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int connected, expired, completions;
static char events[100][300];
static int event_count, event_taken;

static void wait_until(const int *value, int at_least) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += WAIT_SECONDS_MAX;
    pthread_mutex_lock(&lock);
    while (*value < at_least) {
        if (pthread_cond_timedwait(&changed, &lock, &deadline) != 0) {
            printf("gave up waiting\n");
            exit(1);
        }
    }
    pthread_mutex_unlock(&lock);
}

static void global_watcher(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh, (void)path, (void)context;
    pthread_mutex_lock(&lock);
    if (type == ZOO_SESSION_EVENT) {
        if (state == ZOO_CONNECTED_STATE) connected++;
        if (state == ZOO_EXPIRED_SESSION_STATE) expired++;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void node_watcher(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh;
    if (type == ZOO_SESSION_EVENT) return;
    pthread_mutex_lock(&lock);
    snprintf(events[event_count++], sizeof events[0], "%s: type %d state %d path %s", (char *)context, type, state, path);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int compare_lines(const void *a, const void *b) { return strcmp(a, b); }

/* Prints the next events: those of one change come in no fixed order among different watchers. */
static void show_events(int count) {
    wait_until(&event_count, event_taken + count);
    qsort(events[event_taken], (size_t)count, sizeof events[0], compare_lines);
    for (int i = 0; i < count; i++) printf("  event %s\n", events[event_taken + i]);
    event_taken += count;
}

static void show_stat(const struct Stat *stat) {
    printf("  czxid %llx mzxid %llx pzxid %llx version %d cversion %d aversion %d owner %s length %d children %d times %s\n",
           (long long)stat->czxid, (long long)stat->mzxid, (long long)stat->pzxid, stat->version, stat->cversion,
           stat->aversion, stat->ephemeralOwner ? "someone" : "nobody", stat->dataLength, stat->numChildren,
           stat->ctime <= stat->mtime ? "ordered" : "wrong");
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void show_children(struct String_vector *names) {
    qsort(names->data, (size_t)names->count, sizeof(char *), compare_names);
    for (int i = 0; i < names->count; i++) printf("  child %s\n", names->data[i]);
    deallocate_String_vector(names);
}

static void create(zhandle_t *zh, const char *path, const char *data, const struct ACL_vector *acl, int mode) {
    char name[300] = "";
    int rc = zoo_create(zh, path, data, data ? (int)strlen(data) : -1, acl, mode, name, sizeof name);
    printf("create %s mode %d: %d %s\n", path, mode, rc, rc == ZOK ? name : "");
}

static void create2(zhandle_t *zh, const char *path, int mode, int64_t ttl) {
    char name[300] = "";
    struct Stat stat;
    int rc = ttl < 0 ? zoo_create2(zh, path, "12345", 5, &ZOO_OPEN_ACL_UNSAFE, mode, name, sizeof name, &stat)
                     : zoo_create2_ttl(zh, path, "12345", 5, &ZOO_OPEN_ACL_UNSAFE, mode, ttl, name, sizeof name, &stat);
    printf("create2 %s mode %d ttl %lld: %d %s\n", path, mode, (long long)ttl, rc, rc == ZOK ? name : "");
    if (rc == ZOK) show_stat(&stat);
}

static void get(zhandle_t *zh, const char *path) {
    char data[300];
    int length = sizeof data;
    struct Stat stat;
    int rc = zoo_get(zh, path, 0, data, &length, &stat);
    printf("get %s: %d length %d %.*s\n", path, rc, rc == ZOK ? length : 0, rc == ZOK && length > 0 ? length : 0, data);
    if (rc == ZOK) show_stat(&stat);
}

static void set(zhandle_t *zh, const char *path, const char *data, int version) {
    struct Stat stat;
    int rc = zoo_set2(zh, path, data, (int)strlen(data), version, &stat);
    printf("set %s version %d: %d\n", path, version, rc);
    if (rc == ZOK) show_stat(&stat);
}

static void exists(zhandle_t *zh, const char *path) {
    struct Stat stat;
    int rc = zoo_exists(zh, path, 0, &stat);
    printf("exists %s: %d\n", path, rc);
    if (rc == ZOK) show_stat(&stat);
}

static void children(zhandle_t *zh, const char *path) {
    struct String_vector names;
    struct Stat stat;
    int rc = zoo_get_children2(zh, path, 0, &names, &stat);
    printf("children %s: %d\n", path, rc);
    if (rc == ZOK) {
        show_children(&names);
        show_stat(&stat);
    }
}

static void delete(zhandle_t *zh, const char *path, int version) {
    printf("delete %s version %d: %d\n", path, version, zoo_delete(zh, path, version));
}

static void show_acl(zhandle_t *zh, const char *path) {
    struct ACL_vector acl;
    struct Stat stat;
    int rc = zoo_get_acl(zh, path, &acl, &stat);
    printf("acl %s: %d\n", path, rc);
    if (rc != ZOK) return;
    for (int i = 0; i < acl.count; i++)
        printf("  %d %s %s\n", acl.data[i].perms, acl.data[i].id.scheme, acl.data[i].id.id);
    show_stat(&stat);
    deallocate_ACL_vector(&acl);
}

static void authenticated(int rc, const void *data) {
    printf("auth %s: %d\n", (const char *)data, rc);
    pthread_mutex_lock(&lock);
    completions++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void synced(int rc, const char *value, const void *data) {
    printf("sync %s: %d %s\n", (const char *)data, rc, value ? value : "(null)");
    pthread_mutex_lock(&lock);
    completions++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void nodes(zhandle_t *zh) {
    create(zh, "/c", "data", &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT);
    create(zh, "/c", "again", &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT);
    create(zh, "/c/none/x", "x", &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT);
    create(zh, "/c/null", NULL, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT);
    create(zh, "/c/s-", "x", &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL);
    create(zh, "/c/e", "x", &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL);
    create(zh, "/c/es-", "x", &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL);
    create(zh, "/c/e/child", "x", &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT);
    create2(zh, "/c/two", ZOO_PERSISTENT, -1);
    create2(zh, "/c/container", ZOO_CONTAINER, -1);
    create2(zh, "/c/ttl", ZOO_PERSISTENT_WITH_TTL, 100000);
    create2(zh, "/c/ttl-", ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL, 100000);
    get(zh, "/c");
    get(zh, "/c/null");
    get(zh, "/none");
    set(zh, "/c", "changed", -1);
    set(zh, "/c", "changed twice", 1);
    set(zh, "/c", "stale", 1);
    set(zh, "/none", "x", -1);
    exists(zh, "/c");
    exists(zh, "/none");
    children(zh, "/c");
    children(zh, "/none");
    delete(zh, "/c", -1);
    delete(zh, "/c/two", 9);
    delete(zh, "/c/two", 0);
    delete(zh, "/none", -1);
    children(zh, "/");
}

static void rights(zhandle_t *zh) {
    struct ACL own[] = {{ZOO_PERM_ALL, {"auth", ""}}}, reader[] = {{ZOO_PERM_READ, {"world", "anyone"}}};
    struct ACL odd[] = {{ZOO_PERM_ALL, {"nobody", "x"}}}, host[] = {{ZOO_PERM_ALL, {"ip", "127.0.0.1"}}};
    struct ACL_vector own_acl = {1, own}, reader_acl = {1, reader}, odd_acl = {1, odd}, host_acl = {1, host}, none = {0, NULL};
    create(zh, "/own", "x", &own_acl, 0);
    completions = 0;
    zoo_add_auth(zh, "digest", "carol:secret", 12, authenticated, "digest");
    wait_until(&completions, 1);
    create(zh, "/own", "x", &own_acl, 0);
    create(zh, "/read", "x", &reader_acl, 0);
    create(zh, "/host", "x", &host_acl, 0);
    create(zh, "/odd", "x", &odd_acl, 0);
    create(zh, "/empty-acl", "x", &none, 0);
    show_acl(zh, "/own");
    show_acl(zh, "/read");
    show_acl(zh, "/host");
    show_acl(zh, "/");
    show_acl(zh, "/none");
    set(zh, "/read", "denied", -1);
    create(zh, "/read/child", "x", &ZOO_OPEN_ACL_UNSAFE, 0);
    printf("set acl: %d\n", zoo_set_acl(zh, "/read", -1, &ZOO_OPEN_ACL_UNSAFE));
    printf("set acl: %d\n", zoo_set_acl(zh, "/own", 0, &ZOO_OPEN_ACL_UNSAFE));
    printf("set acl: %d\n", zoo_set_acl(zh, "/own", 0, &ZOO_OPEN_ACL_UNSAFE));
    show_acl(zh, "/own");
}

static void transactions(zhandle_t *zh) {
    zoo_op_t ops[5];
    zoo_op_result_t results[5];
    char first[100], second[100];
    struct Stat stat;
    memset(results, 0, sizeof results);
    zoo_create_op_init(&ops[0], "/m", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, first, sizeof first);
    zoo_create_op_init(&ops[1], "/m/s-", "2", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL, second, sizeof second);
    zoo_set_op_init(&ops[2], "/m", "3", 1, 0, &stat);
    zoo_check_op_init(&ops[3], "/m", 1);
    zoo_delete_op_init(&ops[4], "/m/s-0000000000", 0);
    printf("multi: %d\n", zoo_multi(zh, 5, ops, results));
    for (int i = 0; i < 5; i++) printf("  result %d\n", results[i].err);
    printf("  %s %s\n", first, second);
    show_stat(&stat);
    printf("multi again: %d\n", zoo_multi(zh, 5, ops, results));
    for (int i = 0; i < 5; i++) printf("  result %d\n", results[i].err);
    get(zh, "/m");
    children(zh, "/m");
}

static void watches(zhandle_t *zh) {
    char data[100];
    int length = sizeof data;
    struct Stat stat;
    struct String_vector names;
    printf("watch get: %d\n", zoo_wget(zh, "/c", node_watcher, "data", data, &length, &stat));
    printf("watch exists: %d\n", zoo_wexists(zh, "/later", node_watcher, "exists", &stat));
    printf("watch children: %d\n", zoo_wget_children(zh, "/c", node_watcher, "children", &names));
    deallocate_String_vector(&names);
    set(zh, "/c", "fires", -1);
    show_events(1);
    set(zh, "/c", "fires nothing", -1);
    create(zh, "/later", "x", &ZOO_OPEN_ACL_UNSAFE, 0);
    show_events(1);
    create(zh, "/c/child", "x", &ZOO_OPEN_ACL_UNSAFE, 0);
    show_events(1);
    length = sizeof data;
    printf("watch get: %d\n", zoo_wget(zh, "/later", node_watcher, "later", data, &length, &stat));
    delete(zh, "/later", -1);
    show_events(1);
    length = sizeof data;
    printf("watch get: %d\n", zoo_wget(zh, "/c/child", node_watcher, "removed", data, &length, &stat));
    printf("remove: %d\n", zoo_remove_watches(zh, "/c/child", ZWATCHTYPE_DATA, node_watcher, "removed", 0));
    printf("remove: %d\n", zoo_remove_watches(zh, "/c/child", ZWATCHTYPE_DATA, node_watcher, "removed", 0));
    set(zh, "/c/child", "fires nothing", -1);
    completions = 0;
    zoo_async(zh, "/c", synced, "/c");
    wait_until(&completions, 1);
    completions = 0;
    zoo_async(zh, "/none", synced, "/none");
    wait_until(&completions, 1);
}

/* Everything up to the moment at which the client dies without closing its session. */
static void first_life(const char *hosts, int id_pipe) {
    zhandle_t *zh = zookeeper_init(hosts, global_watcher, 20000, NULL, NULL, 0);
    wait_until(&connected, 1);
    printf("connected, timeout %d\n", zoo_recv_timeout(zh));
    nodes(zh);
    rights(zh);
    transactions(zh);
    watches(zh);
    if (write(id_pipe, zoo_client_id(zh), sizeof(clientid_t)) != sizeof(clientid_t)) exit(1);
    fflush(stdout);
    _exit(0);
}

/* The session goes on in another process with its id and password; with unknown ones there is none. */
static void second_life(const char *hosts, const clientid_t *id) {
    zhandle_t *zh = zookeeper_init(hosts, global_watcher, 20000, id, NULL, 0);
    wait_until(&connected, 1);
    printf("resumed: %s\n", zoo_client_id(zh)->client_id == id->client_id ? "the same session" : "another session");
    exists(zh, "/c/e");
    clientid_t unknown = {0x123456789, "no such session"};
    zhandle_t *refused = zookeeper_init(hosts, global_watcher, 20000, &unknown, NULL, 0);
    wait_until(&expired, 1);
    printf("unknown session: state %d\n", zoo_state(refused));
    zookeeper_close(refused);
    printf("close: %d\n", zookeeper_close(zh));
    zh = zookeeper_init(hosts, global_watcher, 20000, NULL, NULL, 0);
    wait_until(&connected, 2);
    exists(zh, "/c/e");
    completions = 0;
    zoo_add_auth(zh, "nonsense", "x", 1, authenticated, "nonsense");
    wait_until(&completions, 1);
    printf("close: %d\n", zookeeper_close(zh));
}

int main(int count, char **arguments) {
    int id_pipe[2], status;
    clientid_t id;
    if (count != 2 || pipe(id_pipe) != 0) return 2;
    zoo_set_debug_level(0);
    pid_t child = fork();
    if (child == 0) first_life(arguments[1], id_pipe[1]);
    if (waitpid(child, &status, 0) != child || status != 0) return 1;
    if (read(id_pipe[0], &id, sizeof id) != sizeof id) return 1;
    second_life(arguments[1], &id);
    return 0;
}
