#!/usr/bin/env bash
# c-library.sh SOURCES JUTE TARGET: builds ZooKeeper's C library with TLS and SASL from its release's sources, with the program that
# writes its records from that release's jar, and leaves `include/zookeeper/` and `libzookeeper_mt.a` in TARGET.
#
# The sources are not configured: autoconf, automake and libtool would ask a dozen questions which all have the same answer here.
set -euo pipefail
sources=$(realpath "$1") jute=$(realpath "$2") target=$(realpath "$3")
headers=$target/include/zookeeper
mkdir -p "$headers" "$target/objects"
cp "$sources"/zookeeper-client/zookeeper-client-c/include/*.h "$headers"
cd "$headers"
java -cp "$jute" org.apache.jute.compiler.generated.Rcc -l c "$sources/zookeeper-jute/src/main/resources/zookeeper.jute" >/dev/null
cd "$target/objects"
echo '#define PACKAGE_STRING "zookeeper C client"' >config.h
for has in ARPA_INET_H GETCWD GETHOSTNAME GETLOGIN GETPWUID_R GETUID NETDB_H NETINET_IN_H POLL STRING_H SYS_SOCKET_H SYS_TIME_H \
  SYS_UTSNAME_H UNISTD_H; do
  echo "#define HAVE_$has 1"
done >>config.h
src=$sources/zookeeper-client/zookeeper-client-c/src
gcc -c -O1 -w -D_GNU_SOURCE -DTHREADED -DHAVE_OPENSSL_H -DHAVE_CYRUS_SASL_H -I. -I"$headers" -I"$src" \
  "$src"/{addrvec,mt_adaptor,recordio,zk_hashtable,zk_log,zk_sasl,zookeeper}.c "$src"/hashtable/hashtable{,_itr}.c "$headers/zookeeper.jute.c"
ar rcs "$target/libzookeeper_mt.a" ./*.o
