import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { missingHostRoots } from '../harness/host-networks.ts';
import { cluster, type DebianHost, keyOf, newPair, type Pair, pgdata, textAt } from './setup-kit.ts';
import { expectExit } from './standby-kit.ts';

const missing = await missingHostRoots();
if (missing !== undefined) console.log(`skipped: ${missing}`);

describe.skipIf(missing !== undefined)('--setup', () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await newPair();
  });
  afterAll(() => pair.world.close());

  const setUp = (host: DebianHost, flags: string) => host.type(`cmd_archiver --setup ${flags}`);

  test('changes nothing with --dry-run, and refuses the host itself, before it has changed anything', async () => {
    const { alpha } = pair;
    const plan = await setUp(alpha, '--standby beta --apply --dry-run');
    expectExit(plan, 0);
    expect(plan.stdout).toMatch(/^1\. make two keys for this purpose alone/m);
    expect(plan.stdout).toContain('Dry run: nothing was changed.');
    expect(textAt(alpha, '/etc/pitrtools/cmd_archiver.ini')).toBe('');
    const self = await setUp(alpha, '--standby alpha');
    expectExit(self, 4);
    expect(self.stderr).toContain('alpha is this very host');
    expect(textAt(alpha, '/etc/pitrtools/ssh/id_data')).toBe('');
  });

  test('names a host that does not answer, and does the rest; another language changes nothing', async () => {
    const { alpha, beta } = pair;
    await beta.stopSshd();
    const refused = await alpha.type('cmd_archiver --setup --standby beta', {
      env: { LC_ALL: 'de_DE.UTF-8' },
    });
    await beta.startSshd();
    expectExit(refused, 8);
    expect(refused.stdout).toMatch(/beta.*(Connection refused|not received)/);
    expect(textAt(alpha, '/etc/pitrtools/cmd_archiver.ini')).toContain('slaves: beta\n');
    // Shown, not done: there was no --apply.
    expect(refused.stdout).toContain("archive_mode = 'on'");
    expect(textAt(alpha, `/etc/postgresql/${cluster}/conf.d/pitrtools.conf`)).toBe('');
  });

  test('continues after it was killed at any moment, and a second run finds nothing to do', async () => {
    const { alpha, beta } = pair;
    for (const seconds of ['0.4', '0.8', '1.2']) {
      const killed = await alpha.type(
        `timeout -s KILL ${seconds} cmd_archiver --setup --standby beta --apply`,
      );
      expect([137, 8]).toContain(killed.code);
    }
    expectExit(await setUp(alpha, '--standby beta --apply'), 8);
    const standby = await beta.type('cmd_standby --setup --primary alpha');
    expectExit(standby, 8);
    // Its own INI file is not there yet: the primary could not be asked.
    expect(standby.stdout).toMatch(/^Then run this again: cmd_standby --setup --primary alpha$/m);
    expect(standby.stdout.match(/host key of beta itself/g)).toHaveLength(1);
    const again = await setUp(alpha, '--standby beta --apply');
    expectExit(again, 8);
    expect(again.stdout).not.toMatch(/^\d+\. /m);
    const [forArchive, forData] = [keyOf(alpha, 'archive'), keyOf(alpha, 'data')];
    expect(again.stdout).toContain(
      `cmd_standby --setup --primary alpha --authorize '${forArchive}' '${forData}'`,
    );
  });

  test('never overwrites a file that was changed by hand: it shows the difference, and the way out', async () => {
    const { alpha } = pair;
    const ini = alpha.at('/etc/pitrtools/cmd_archiver.ini');
    const changed = readFileSync(ini, 'utf8').replace('slaves: beta', 'slaves: beta\nqueue_max: 5GB');
    writeFileSync(ini, changed);
    const added = await setUp(alpha, '--standby gamma');
    expectExit(added, 8);
    expect(added.stdout).toContain('[DEFAULT] slaves: beta → beta, gamma');
    expect(added.stdout).toContain(
      `mv -n /etc/pitrtools/cmd_archiver.ini /etc/pitrtools/cmd_archiver.ini.own`,
    );
    expect(readFileSync(ini, 'utf8')).toBe(changed);
  });

  test('refuses a host key that has changed', async () => {
    const { alpha, beta } = pair;
    await beta.stopSshd();
    await beta.type(
      "rm /etc/ssh/ssh_host_ed25519_key* && ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key",
    );
    await beta.startSshd();
    const changed = await setUp(alpha, '');
    expectExit(changed, 8);
    expect(changed.stdout).toContain('the host key of beta is not the pinned one');
    expect(changed.stdout).toContain('ssh-keygen -f /etc/pitrtools/ssh/known_hosts -R beta');
    expectExit(await alpha.type('ssh-keygen -f /etc/pitrtools/ssh/known_hosts -R beta'), 0);
    expect((await setUp(alpha, '')).stdout).toContain('beta, from now on the only one accepted: 256 SHA256:');
  });

  test('asks which cluster is meant, and names an owner and a directory that are not ours', async () => {
    const { alpha } = pair;
    await alpha.type(
      `mkdir -p /etc/postgresql/9.6/old && echo "data_directory = '/var/lib/postgresql/9.6/old'" > /etc/postgresql/9.6/old/postgresql.conf`,
    );
    const several = await alpha.type('cmd_archiver -C /var/lib/postgresql/etc/a.ini --setup --standby beta');
    expectExit(several, 4);
    expect(several.stderr).toContain('there are several clusters on this host');
    expect(several.stderr).toContain(`--setup --standby beta --cluster ${cluster}`);
    await alpha.type(`echo "data_directory = '/usr'" > /etc/postgresql/9.6/old/postgresql.conf`);
    const foreign = await alpha.type(
      'cmd_archiver -C /var/lib/postgresql/etc/a.ini --setup --standby beta --cluster 9.6/old',
    );
    expectExit(foreign, 4);
    expect(foreign.stderr).toMatch(/belongs to user \d+, and this is run by user \d+/);
    await alpha.type('rm -r /etc/postgresql/9.6');
    const nowhere = await alpha.type('cmd_archiver -C /usr/local/x/cmd_archiver.ini --setup --standby beta');
    expectExit(nowhere, 1);
    expect(nowhere.stderr).toContain('cannot make directory "/usr/local/x"');
    expect(textAt(alpha, `${pgdata}/PG_VERSION`).trim()).toBe(cluster.split('/')[0]);
  });

  test('refuses root, who only enables the services', async () => {
    const { alpha } = pair;
    const asRoot = (flags: string) => alpha.type(`unshare --map-root-user cmd_archiver --setup ${flags}`);
    const refused = await asRoot('--standby beta');
    expectExit(refused, 4);
    expect(refused.stderr).toContain('must not be run as root');
    const absent = await asRoot('--systemd');
    expectExit(absent, 8);
    expect(absent.stdout).toContain('not installed: pitrtools-shipper.service');
    await alpha.type('mkdir -p /etc/systemd/system && touch /etc/systemd/system/pitrtools-shipper.service');
    expectExit(await asRoot('--systemd'), 0);
    // The package has a template, whose instance is the cluster.
    await alpha.type('cd /etc/systemd/system && mv pitrtools-shipper.service pitrtools-shipper@.service');
    expectExit(await asRoot('--systemd'), 0);
    expect((await alpha.type('cat /run/enabled')).stdout).toBe(
      `enable --now pitrtools-shipper.service\nenable --now pitrtools-shipper@${cluster.replace('/', '-')}.service\n`,
    );
  });

  test(
    'sends our keys where ssh lets us in already, and changes nothing else there',
    { timeout: 300_000 },
    async () => {
      const { alpha, beta } = pair;
      const own = '/var/lib/postgresql/.ssh';
      const file = `${own}/authorized_keys`;
      await alpha.type(`mkdir -p -m 0700 ${own} && ssh-keygen -q -t ed25519 -N '' -f ${own}/id_ed25519`);
      writeFileSync(beta.at('/etc/ssh/own_keys'), readFileSync(alpha.at(`${own}/id_ed25519.pub`)));
      const onBeta = (line: string) => beta.type(`chmod -fR u+rwX ${own}; rm -rf ${own}; ${line}`);

      // Neither a directory nor a file that is closed is opened.
      await onBeta(`mkdir -m 0500 ${own}`);
      const closed = await setUp(alpha, '');
      expectExit(closed, 8);
      expect(closed.stdout).toMatch(/cannot append our keys on beta; .*authorized_keys: Permission denied/);
      await onBeta(`mkdir -m 0700 ${own} && echo '# mine' > ${file} && chmod 0400 ${file}`);
      expect((await setUp(alpha, '')).stdout).toMatch(/authorized_keys: Permission denied/);
      expect(textAt(beta, file)).toBe('# mine\n');

      // One key is there with other options, in a last line without an end.
      const [forArchive, forData] = [keyOf(alpha, 'archive'), keyOf(alpha, 'data')];
      const before = `from="192.0.2.1" ${forArchive}`;
      await onBeta(`mkdir -m 0777 ${own} && chmod 0777 ${own} && printf %s '${before}' > ${file}`);
      const present = await setUp(alpha, '');
      expectExit(present, 8);
      expect(present.stdout).toContain('pitrtools-archive@alpha is there already: its line was not changed');
      expect(present.stdout).toContain('others can write to ~/.ssh there');
      expect(present.stdout).toContain('this had no effect: let our keys in');
      const [first, second, ...more] = textAt(beta, file).split('\n');
      expect([first, more]).toEqual([before, ['']]);
      expect(second).toMatch(/^restrict,command="\S+cmd_archiver -C .*" ssh-ed25519 /);
      expect(second?.endsWith(forData)).toBe(true);

      // Two hosts send theirs at once, and there is no directory yet.
      await onBeta(':');
      const ini = '/var/lib/postgresql/other/cmd_archiver.ini';
      const runs = await Promise.all([
        setUp(alpha, ''),
        alpha.type(`cmd_archiver -C ${ini} --setup --standby beta`),
      ]);
      for (const run of runs) expectExit(run, 8);
      const found = textAt(beta, file).trimEnd().split('\n');
      expect(found).toHaveLength(4);
      for (const key of [forArchive, forData]) expect(found.join('\n')).toContain(key);
      expect((await beta.type(`stat -c %a ${own} ${file}`)).stdout).toBe('700\n600\n');
      expect((await setUp(alpha, '')).stdout).not.toContain('let our keys in');
    },
  );
});
