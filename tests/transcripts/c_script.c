/* A session of the C library from first to last call, one line per step; run against two servers the lines are equal.
 *
 * Arguments: where the server is. Built with TLS and SASL also: `x509` or `sasl`; then for each of three, the owner of everything,
 * a stranger and the super user, his name and how he logs in; then for any number of guests, who may be believed or not, the same.
 * By a certificate one logs in with `authority,certificate,key,password`, files in PEM; by SASL with `mechanism,server,user,file`,
 * the file with the password; a guest with `-` does not log in. The owner then does all that is done without a name, too.
 *
 * Every call is synchronous, or awaited before the next one, and events are gathered by the watcher and printed at fixed
 * points, sorted as they came: the order of lines never depends on a thread.
 */

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define WAIT_SECONDS_MAX 20

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int connected, expired, completions, complaints;
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

static int create(zhandle_t *zh, const char *path, const char *data, const struct ACL_vector *acl, int mode) {
    char name[300] = "";
    int rc = zoo_create(zh, path, data, data ? (int)strlen(data) : -1, acl, mode, name, sizeof name);
    printf("create %s mode %d: %d %s\n", path, mode, rc, rc == ZOK ? name : "");
    return rc;
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
    /* It is queued, and stays there until the library's thread has something else to do. */
    zoo_async(zh, "/", synced, "/");
    wait_until(&completions, 2);
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

/* Somebody with a name by a scheme; without a scheme, anybody. */
struct person {
    const char *scheme, *name, *login;
};

static zhandle_t *begin(const char *hosts, const struct person *who, const clientid_t *id) {
    if (!who->scheme) return zookeeper_init(hosts, global_watcher, 20000, id, NULL, 0);
#ifdef HAVE_CYRUS_SASL_H
    if (strcmp(who->scheme, "x509") == 0)
        return zookeeper_init_ssl(hosts, who->login, global_watcher, 20000, id, NULL, 0);
    /* The library keeps what it is given. */
    char *words = strdup(who->login);
    zoo_sasl_params_t params = {.service = "zookeeper", .mechlist = strtok(words, ",")};
    params.host = strtok(NULL, ",");
    const char *user = strtok(NULL, ","), *password_file = strtok(NULL, ",");
    params.callbacks = zoo_sasl_make_basic_callbacks(user, NULL, password_file);
    return zookeeper_init_sasl(hosts, global_watcher, 20000, id, NULL, 0, NULL, &params);
#else
    printf("built without TLS and SASL\n");
    exit(2);
#endif
}

static zhandle_t *begin_and_wait(const char *hosts, const struct person *who, const clientid_t *id) {
    int before = connected;
    zhandle_t *zh = begin(hosts, who, id);
    wait_until(&connected, before + 1);
    return zh;
}

/* Everything up to the moment at which the client dies without closing its session. */
static void first_life(const char *hosts, const struct person *who, int id_pipe) {
    zhandle_t *zh = begin_and_wait(hosts, who, NULL);
    printf("connected, timeout %d\n", zoo_recv_timeout(zh));
    nodes(zh);
    rights(zh);
    transactions(zh);
    watches(zh);
    if (write(id_pipe, zoo_client_id(zh), sizeof(clientid_t)) != sizeof(clientid_t)) exit(1);
    fflush(stdout);
    _exit(0);
}

static void nobody_minds(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh, (void)type, (void)state, (void)path, (void)context;
}

/* The packet stays in its queue until the library's thread has something to do, which is an event here: with a request behind it,
 * a server that closes would be heard or not. */
static void refused_packet(const char *hosts, const struct person *who, zhandle_t *zh) {
    struct Stat stat;
    zhandle_t *other = begin_and_wait(hosts, who, NULL);
    printf("watch exists: %d\n", zoo_wexists(zh, "/wakes", nobody_minds, NULL, &stat));
    completions = 0;
    zoo_add_auth(zh, "nonsense", "x", 1, authenticated, "nonsense");
    zoo_create(other, "/wakes", "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    wait_until(&completions, 1);
    printf("close: %d\n", zookeeper_close(other));
}

/* The session goes on in another process with its id and password; with unknown ones there is none. */
static void second_life(const char *hosts, const struct person *who, const clientid_t *id) {
    zhandle_t *zh = begin_and_wait(hosts, who, id);
    printf("resumed: %s\n", zoo_client_id(zh)->client_id == id->client_id ? "the same session" : "another session");
    exists(zh, "/c/e");
    clientid_t unknown = {0x123456789, "no such session"};
    zhandle_t *refused = begin(hosts, who, &unknown);
    wait_until(&expired, 1);
    printf("unknown session: state %d\n", zoo_state(refused));
    zookeeper_close(refused);
    printf("close: %d\n", zookeeper_close(zh));
    zh = begin_and_wait(hosts, who, NULL);
    exists(zh, "/c/e");
    refused_packet(hosts, who, zh);
    printf("close: %d\n", zookeeper_close(zh));
}

static struct ACL_vector only(struct ACL *entry, int rights, const struct person *who) {
    *entry = (struct ACL){rights, {(char *)who->scheme, (char *)who->name}};
    return (struct ACL_vector){1, entry};
}

/* What is somebody's, nobody else sees, changes or deletes, but the super user. */
static void rights_among(zhandle_t *const zh[3], const struct person *people) {
    struct ACL entry, both[2];
    struct ACL_vector mine = only(&entry, ZOO_PERM_ALL, &people[0]), shared = {2, both};
    create(zh[0], "/mine", "mine", &mine, 0);
    create(zh[0], "/creator", "mine", &ZOO_CREATOR_ALL_ACL, 0);
    for (int i = 0; i < 3; i++) {
        get(zh[i], "/mine");
        get(zh[i], "/creator");
        show_acl(zh[i], "/mine");
        show_acl(zh[i], "/creator");
    }
    set(zh[1], "/mine", "his", -1);
    create(zh[1], "/mine/child", "x", &mine, 0);
    create(zh[0], "/mine/below", "x", &mine, 0);
    delete(zh[1], "/mine/below", -1);
    zoo_op_t ops[2];
    zoo_op_result_t results[2] = {{0}};
    struct Stat stat;
    zoo_create_op_init(&ops[0], "/several", "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    zoo_set_op_init(&ops[1], "/mine", "his", 3, -1, &stat);
    printf("multi: %d", zoo_multi(zh[1], 2, ops, results));
    printf(" results %d %d\n", results[0].err, results[1].err);
    only(&both[0], ZOO_PERM_ALL, &people[0]);
    only(&both[1], ZOO_PERM_READ, &people[1]);
    printf("share: %d\n", zoo_set_acl(zh[0], "/mine", 0, &shared));
    get(zh[1], "/mine");
    show_acl(zh[1], "/mine");
    set(zh[1], "/mine", "his", -1);
    set(zh[2], "/mine", "the super user's", -1);
    const char *names[] = {"", "nobody", "a@b@c", "a/b/c@d", "CN=a,O=b", "/"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct person named = {people[0].scheme, names[i], NULL};
        struct ACL_vector list = only(&entry, ZOO_PERM_ALL, &named);
        printf("a list for '%s': ", names[i]);
        create(zh[0], "/list-", "x", &list, ZOO_PERSISTENT_SEQUENTIAL);
    }
}

static void gathered(int rc, const struct Stat *stat, const void *data) {
    (void)stat, (void)data;
    if (rc != ZOK) printf("in flight: %d\n", rc);
    pthread_mutex_lock(&lock);
    completions++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Many answers on their way at once, together with events; a long request and a long answer. */
static void in_flight(zhandle_t *zh, zhandle_t *other) {
    enum { COUNT = 500, LONG = 1000000 };
    struct Stat stat;
    create(zh, "/flight", "x", &ZOO_OPEN_ACL_UNSAFE, 0);
    printf("watch exists: %d\n", zoo_wexists(zh, "/flight", node_watcher, "of others", &stat));
    set(other, "/flight", "by another", -1);
    show_events(1);
    printf("watch exists: %d\n", zoo_wexists(zh, "/flight", node_watcher, "of its own", &stat));
    completions = 0;
    for (int i = 0; i < COUNT; i++) zoo_aset(zh, "/flight", "y", 1, -1, gathered, NULL);
    for (int i = 0; i < COUNT; i++) zoo_aexists(zh, "/flight", 0, gathered, NULL);
    wait_until(&completions, 2 * COUNT);
    show_events(1);
    exists(zh, "/flight");
    char *value = malloc(LONG), *answer = malloc(LONG);
    int length = LONG;
    for (int i = 0; i < LONG; i++) value[i] = (char)(i * 31 >> 3);
    printf("long: %d\n", zoo_create(zh, "/long", value, LONG, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
    int rc = zoo_get(zh, "/long", 0, answer, &length, &stat);
    printf("long: %d length %d %s\n", rc, length, length == LONG && memcmp(value, answer, LONG) == 0 ? "same" : "other");
    free(value);
    free(answer);
}

static void complained(const char *message) {
    (void)message;
    pthread_mutex_lock(&lock);
    complaints++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int now(const int *value) {
    pthread_mutex_lock(&lock);
    int is = *value;
    pthread_mutex_unlock(&lock);
    return is;
}

/* Somebody who may be believed or not: by SASL one hears so, by TLS only that it was in vain, again and again. */
static void guest(const char *hosts, const struct person *who) {
    struct person anybody = {NULL, NULL, NULL};
    int before = connected;
    complaints = 0;
    zhandle_t *zh = begin(hosts, strcmp(who->login, "-") == 0 ? &anybody : who, NULL);
    zoo_set_log_callback(zh, complained);
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    for (int tries = 0; now(&connected) == before && now(&complaints) == 0 && zoo_state(zh) != ZOO_AUTH_FAILED_STATE; tries++) {
        if (tries > WAIT_SECONDS_MAX * 100) exit(1);
        usleep(10000);
    }
    zoo_set_debug_level(0);
    int is_in = now(&connected) > before, is_told = zoo_state(zh) == ZOO_AUTH_FAILED_STATE;
    printf("guest %s: %s\n", who->name, is_in ? "is in" : is_told ? "is told no" : "is not in");
    if ((is_in || is_told) && create(zh, "/guest", "x", &ZOO_CREATOR_ALL_ACL, 0) == ZOK) {
        show_acl(zh, "/guest");
        delete(zh, "/guest", -1);
    }
    zookeeper_close(zh);
}

static void people(const char *hosts, const struct person *people, int count) {
    zhandle_t *zh[3];
    for (int i = 0; i < 3; i++) zh[i] = begin_and_wait(hosts, &people[i], NULL);
    rights_among(zh, people);
    in_flight(zh[0], zh[1]);
    for (int i = 3; i < count; i++) guest(hosts, &people[i]);
    for (int i = 0; i < 3; i++) printf("close: %d\n", zookeeper_close(zh[i]));
}

int main(int count, char **arguments) {
    enum { PEOPLE_MAX = 20 };
    struct person known[PEOPLE_MAX] = {{NULL, NULL, NULL}};
    int id_pipe[2], status, named = 0;
    clientid_t id;
    if (count < 2 || pipe(id_pipe) != 0) return 2;
    for (int i = 3; i + 1 < count && named < PEOPLE_MAX; i += 2)
        known[named++] = (struct person){arguments[2], arguments[i], arguments[i + 1]};
    zoo_set_debug_level(0);
    /* With TLS the library writes to sockets that are closed. */
    signal(SIGPIPE, SIG_IGN);
#ifdef HAVE_CYRUS_SASL_H
    if (sasl_client_init(NULL) != SASL_OK) return 2;
#endif
    pid_t child = fork();
    if (child == 0) first_life(arguments[1], &known[0], id_pipe[1]);
    if (waitpid(child, &status, 0) != child || status != 0) return 1;
    if (read(id_pipe[0], &id, sizeof id) != sizeof id) return 1;
    second_life(arguments[1], &known[0], &id);
    if (named >= 3) people(arguments[1], known, named);
    return 0;
}
