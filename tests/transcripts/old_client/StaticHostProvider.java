// Takes the place of a class of the 3.4.14 client that reads an address from `InetSocketAddress.toString()`, whose form changed
// in Java 14. All else of that client is as released.

package org.apache.zookeeper.client;

import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;

public final class StaticHostProvider implements HostProvider {
    private final List<InetSocketAddress> addresses = new ArrayList<>();
    private int tried;

    public StaticHostProvider(Collection<InetSocketAddress> unresolved) {
        for (InetSocketAddress address : unresolved) {
            addresses.add(new InetSocketAddress(address.getHostString(), address.getPort()));
        }
    }

    @Override
    public int size() {
        return addresses.size();
    }

    @Override
    public InetSocketAddress next(long spinDelay) {
        return addresses.get(tried++ % addresses.size());
    }

    @Override
    public void onConnected() {
    }
}
