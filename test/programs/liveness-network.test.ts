import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { inNamespaces, missingNamespaces } from '../harness/namespaces.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { run } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import { expectExit, writeSentinelFor } from './standby-kit.ts';

const major = failureMajors().at(-1) ?? 18;

test.override({ major });

/**
 * A network of this host (10.99.0.2) and a gateway (10.99.0.1) at the ends of one cable. `$gateway` is a process in the gateway's
 * namespace, which ends with its standard input. A neighbour that does not answer is given up soon.
 */
const network = `
PATH=$PATH:/usr/sbin:/sbin
exec 3>&2
mkfifo "$TMPDIR/cable.$$"
unshare --net cat "$TMPDIR/cable.$$" >/dev/null &
gateway=$!
exec 9>"$TMPDIR/cable.$$"
rm "$TMPDIR/cable.$$"
until [ "$(readlink /proc/$gateway/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do :; done
ip link add near type veth peer name far
ip link set far netns $gateway
there() { nsenter --net --target $gateway "$@"; }
ip link set lo up
ip addr add 10.99.0.2/24 dev near
ip link set near up
there ip addr add 10.99.0.1/24 dev far
there ip link set far up
ip route add default via 10.99.0.1
echo 100 > /proc/sys/net/ipv4/neigh/near/retrans_time_ms
there sh -c 'echo 100 > /proc/sys/net/ipv4/neigh/far/retrans_time_ms'
`;
const missing = await missingNamespaces(['net'], network);
if (missing !== undefined) console.log(`skipped: ${missing}`);

test.skipIf(missing !== undefined)(
  '-P distinguishes a network problem of this host from a primary that is switched off',
  async ({ world }) => {
    const primary = await world.startPrimary({ start: false });
    const standby = await world.addStandby('standby1', primary, { ini: { failover_probe_timeout: 5 } });
    writeSentinelFor(standby, primary);
    const command = [checkout('bin', 'cmd_standby'), '-C', standby.iniFile, '-P'];
    const ping = (address: string, setup: string) => {
      standby.writeIni({ master_public_ip: address });
      const [program, args] = inNamespaces(['net'], `${network}${setup}`, command);
      return run(program, args, { env: standby.host.env });
    };

    const free = await ping('10.99.0.9', '');
    expectExit(free, 11);
    expect(free.stdout).toContain('EHOSTUNREACH');
    expectExit(await ping('10.99.0.9', 'ip route del default'), 11);

    const alone = await ping('10.99.0.9', 'there ip addr del 10.99.0.1/24 dev far');
    expectExit(alone, 12);
    expect(alone.stdout).toContain('this host reaches nobody else either: 10.99.0.1');

    const unplugged = await ping(
      '10.99.0.9',
      'there ip link set far down; until ip link show near | grep -q NO-CARRIER; do :; done',
    );
    expectExit(unplugged, 12);
    expect(unplugged.stdout).toContain('the interface of this host with address 10.99.0.2 has no carrier');

    const routeless = await ping('192.0.2.1', 'ip route del default');
    expectExit(routeless, 12);
    expect(routeless.stdout).toContain('ENETUNREACH');
  },
);
