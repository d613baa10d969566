import { describe, expect, test } from 'vitest';
import { capabilitiesOf } from '../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../src/postgres/version.ts';
import { serverCommand } from '../../../src/setup/commands.ts';
import type { HostFacts, ServerFacts, SetupFacts } from '../../../src/setup/facts.ts';
import { withHbaLines } from '../../../src/setup/hba-block.ts';
import { hostsOf, readIniFacts } from '../../../src/setup/observe.ts';
import { placesOf } from '../../../src/setup/places.ts';
import { planSetup } from '../../../src/setup/plan.ts';
import type { Plan } from '../../../src/setup/plan-parts.ts';
import { parsePublicKey } from '../../../src/setup/public-key.ts';
import type { SetupRequest } from '../../../src/setup/request.ts';
import { againText } from '../../../src/setup/setup.ts';

const blob = Buffer.concat([Buffer.from([0, 0, 0, 11]), Buffer.from('ssh-ed25519'), Buffer.alloc(36, 7)]);
const keyFor = (side: string) => {
  const key = parsePublicKey(`ssh-ed25519 ${blob.toString('base64')} pitrtools-${side}@alpha`);
  if (key === undefined) throw new Error('no key');
  return key;
};
const pgdata = '/var/lib/postgresql/15/main';
const hba = '/etc/postgresql/15/main/pg_hba.conf';
const conf = '/etc/postgresql/15/main/conf.d/pitrtools.conf';

const request: SetupRequest = {
  role: 'primary',
  iniFile: '/etc/pitrtools/cmd_archiver.ini',
  others: [{ host: 'beta', port: undefined }],
  cluster: undefined,
  archive: undefined,
  authorize: [],
  apply: false,
  systemd: false,
  dryRun: false,
  force: undefined,
};

const beta: HostFacts = {
  host: 'beta',
  port: undefined,
  login: { kind: 'in' },
  addresses: ['192.0.2.2'],
  hasArchive: false,
};

const setting = (value: string, context = 'postmaster', file = '') => ({ value, context, file });
const fresh: Extract<ServerFacts, { kind: 'seen' }> = {
  kind: 'seen',
  port: 5432,
  socketDirectory: '/var/run/postgresql',
  isInRecovery: false,
  settings: new Map([
    ['wal_level', setting('replica')],
    ['archive_mode', setting('off')],
    ['archive_command', setting('', 'sighup')],
    ['archive_library', setting('', 'sighup')],
    ['max_wal_senders', setting('10')],
    ['listen_addresses', setting('localhost')],
    ['hot_standby', setting('on')],
  ]),
  hbaFile: hba,
  isHbaLoaded: true,
  hasHelpers: false,
  role: { role: undefined },
};

const programs = {
  cmd_archiver: { path: '/usr/bin/cmd_archiver', typed: 'cmd_archiver' },
  cmd_standby: { path: '/usr/bin/cmd_standby', typed: 'cmd_standby' },
};

const base: SetupFacts = {
  request,
  me: 'postgres',
  hostName: 'alpha',
  places: placesOf('primary', request.iniFile),
  cluster: {
    pgdata,
    debianName: '15/main',
    major: '15',
    configFile: '/etc/postgresql/15/main/postgresql.conf',
    owner: 101,
  },
  capabilities: capabilitiesOf(parseVersion('15')),
  hasSystemd: true,
  programs,
  programFolder: undefined,
  helperFile: '/usr/share/pitrtools/cmd_standby.15.sql',
  ownKeys: { archive: keyFor('archive'), data: keyFor('data') },
  authorized: { path: '/var/lib/postgresql/.ssh/authorized_keys', text: '' },
  hosts: [beta],
  ownAddresses: ['192.0.2.1'],
  server: fresh,
  primary: { kind: 'unasked' },
  texts: new Map([[hba, 'local all all peer\n']]),
  confFile: conf,
  overriding: new Map(),
  configured: new Map(),
  autoConf: new Map(),
  password: 'secret',
  hasPassword: false,
  archive: '/var/lib/postgresql/archive',
  queueDirectory: '/var/lib/postgresql/queues',
  systemIdentifier: '7',
  archiveOf: undefined,
  queuesOf: undefined,
  queues: [],
};

const kinds = ({ steps }: Plan) => steps.map(({ kind }) => kind);
const lines = ({ todos }: Plan) => todos.flatMap((todo) => [`${todo.where}: ${todo.why}`, ...todo.lines]);

/** The facts after the steps of a plan that write files. */
function written(facts: SetupFacts, plan: Plan): SetupFacts {
  const texts = new Map(facts.texts);
  for (const step of plan.steps)
    if (step.kind === 'write-file') texts.set(step.path, step.text);
    else if (step.kind === 'write-hba')
      texts.set(step.path, withHbaLines(texts.get(step.path) ?? '', step.lines));
  return { ...facts, texts };
}

describe('the plan of --setup on a primary', () => {
  test('begins with the key, the host key and the INI files', () => {
    const first = planSetup({ ...base, ownKeys: undefined, hosts: [{ ...beta, login: { kind: 'no-key' } }] });
    expect(kinds(first)).toEqual(['make-keys', 'write-file', 'write-file']);
    const second = planSetup({ ...base, hosts: [{ ...beta, login: { kind: 'unknown-host' } }] });
    expect(kinds(second)).toContain('pin-host');
  });

  test('shows without --apply what it would change in PostgreSQL, and changes it with --apply', () => {
    const shown = planSetup(base);
    expect(kinds(shown)).toEqual(['write-file', 'write-file']);
    expect(lines(shown)).toEqual(
      expect.arrayContaining([
        "archive_mode = 'on'",
        "archive_command = '/usr/bin/cmd_archiver -C /etc/pitrtools/cmd_archiver.ini -F %p'",
        "listen_addresses = '*'",
        'host replication +pitrtools 192.0.2.2/32 scram-sha-256',
        'psql -h /var/run/postgresql -p 5432 -U postgres -d postgres < /usr/share/pitrtools/cmd_standby.15.sql',
      ]),
    );
    expect(lines(shown).join()).not.toContain('wal_level');
    const applied = { ...base, request: { ...request, apply: true } };
    const plan = planSetup(applied);
    expect(kinds(plan)).toEqual([
      'write-file',
      'write-file',
      'write-file',
      'write-hba',
      'reload',
      'install-helpers',
    ]);
    const next = planSetup(written(applied, plan));
    expect(kinds(next)).toEqual(['reload', 'install-helpers', 'make-role', 'initialize']);
    expect(lines(next)).toContain('systemctl restart postgresql@15-main');
  });

  test('has nothing left once all of it is in force', () => {
    const applied = { ...base, request: { ...request, apply: true } };
    const file = (value: string, context?: string) => setting(value, context, conf);
    const done = planSetup({
      ...written(applied, planSetup(applied)),
      hosts: [{ ...beta, hasArchive: true }],
      server: {
        ...fresh,
        hasHelpers: true,
        settings: new Map([
          ...fresh.settings,
          ['archive_mode', file('on')],
          [
            'archive_command',
            file('/usr/bin/cmd_archiver -C /etc/pitrtools/cmd_archiver.ini -F %p', 'sighup'),
          ],
          ['listen_addresses', file('*')],
        ]),
      },
      hasPassword: true,
      queuesOf: '7',
      queues: ['beta'],
    });
    expect(done).toEqual({ steps: [], todos: [], notes: [] });
  });

  test('asks for no restart that another file would make useless', () => {
    const applied = { ...base, request: { ...request, apply: true } };
    const facts = written(applied, planSetup(applied));
    const shown = (overriding: readonly (readonly [string, string])[], auto: typeof overriding = []) =>
      lines(
        planSetup({
          ...facts,
          overriding: new Map(
            [...overriding, ...auto].map(([name, value]) => [name, { value, file: '/c/conf.d/tuning.conf' }]),
          ),
          autoConf: new Map(auto),
          server: {
            ...fresh,
            settings: new Map(fresh.settings)
              .set('archive_mode', setting('on', 'postmaster', conf))
              .set(
                'archive_command',
                setting('/usr/bin/cmd_archiver -C /etc/pitrtools/cmd_archiver.ini -F %p', 'sighup', conf),
              ),
          },
        }),
      );
    const restart = 'systemctl restart postgresql@15-main';
    expect(shown([])).toContain(restart);
    expect(shown([['listen_addresses', '0.0.0.0']])).toContain(restart);
    const behind = shown([['listen_addresses', 'localhost']]);
    expect(behind).not.toContain(restart);
    expect(behind).toContain(
      "# in /c/conf.d/tuning.conf: listen_addresses = 'localhost' → listen_addresses = '*'",
    );
    const auto = shown([], [['listen_addresses', 'localhost']]);
    expect(auto).not.toContain(restart);
    expect(auto).toContain('ALTER SYSTEM RESET listen_addresses;');
  });

  test('says which host gets no line in pg_hba.conf', () => {
    const facts = { ...base, hosts: [{ ...beta, addresses: [] }] };
    expect(planSetup(facts).notes.join()).toMatch(/^the address of beta is not known here/);
    expect(planSetup(written(facts, planSetup(facts))).notes).toHaveLength(1);
    expect(planSetup(base).notes).toEqual([]);
  });

  test('takes another spelling of the same value for no change', () => {
    const hosts = [beta, { ...beta, host: 'gamma', addresses: ['192.0.2.3'] }];
    const facts = { ...base, hosts };
    const path = base.places.archiverIni;
    const ini = written(facts, planSetup(facts)).texts.get(path) ?? '';
    const own = ini
      .replace('slaves: beta, gamma', "slaves = 'beta','gamma'")
      .replace(`pgdata: ${pgdata}`, `pgdata: ${pgdata}/`);
    expect(own).toMatch(/slaves = 'beta','gamma'[^]*/);
    const plan = planSetup({ ...facts, texts: new Map(base.texts).set(path, own) });
    expect(lines(plan).join('\n')).not.toContain('was written or changed by hand');
    expect(plan.notes).toEqual([]);
  });

  test('keeps the name of a standby that is reached by another one', () => {
    const named = { ...beta, name: 'beta', host: '192.0.2.2' };
    const facts = { ...base, hosts: [named] };
    const path = base.places.archiverIni;
    const first = written(facts, planSetup(facts));
    const ini = first.texts.get(path) ?? '';
    expect(ini).toMatch(/^slaves: beta\n[^]*^\[beta\]\nhost: 192\.0\.2\.2$/m);
    const found = readIniFacts('primary', ini, undefined).named;
    expect(found).toEqual([{ name: 'beta', host: '192.0.2.2', port: undefined }]);
    for (const host of ['beta', '192.0.2.2'])
      expect(hostsOf({ role: 'primary', others: [{ host, port: undefined }] }, found)).toEqual(found);
    const own = `${ini}# a remark\n`;
    const again = planSetup({ ...facts, texts: new Map(first.texts).set(path, own) });
    expect(lines(again).join('\n')).not.toContain('slaves: beta →');
    expect(planSetup({ ...first, queuesOf: '7', queues: ['beta'] }).steps).not.toContainEqual({
      kind: 'initialize',
      program: 'cmd_archiver',
    });
  });

  test('looks for the archive of a standby where its own section has it', () => {
    const ini = '[DEFAULT]\npgdata: /p\nslaves: beta, gamma\nr_archivedir: /a\nl_archivedir: /q\n';
    const { named } = readIniFacts('primary', `${ini}[beta]\nr_archivedir: /big\n`, undefined);
    const there = { host: 'beta', port: undefined, archive: '/big' };
    expect(named).toEqual([there, { host: 'gamma', port: undefined }]);
    const again = hostsOf({ role: 'primary', others: [{ host: 'beta', port: 22 }] }, named);
    expect(again).toContainEqual({ ...there, port: 22 });
  });

  test('carries the key over ssh where that works already, and shows the command where it does not', () => {
    const denied = (byOwnKeys: boolean) =>
      planSetup({ ...base, hosts: [{ ...beta, login: { kind: 'denied', byOwnKeys } }] });
    expect(kinds(denied(true))).toContain('send-keys');
    expect(kinds(denied(false))).not.toContain('send-keys');
    expect(lines(denied(false))).toEqual(
      expect.arrayContaining([
        `cmd_standby --setup --primary alpha --authorize 'ssh-ed25519 ${blob.toString('base64')} pitrtools-archive@alpha' 'ssh-ed25519 ${blob.toString('base64')} pitrtools-data@alpha'`,
        `restrict,command="/usr/bin/cmd_standby -C /etc/pitrtools/cmd_standby.ini --serve --roles" ssh-ed25519 ${blob.toString('base64')} pitrtools-archive@alpha`,
        `restrict,command="/usr/bin/cmd_archiver -C /etc/pitrtools/cmd_archiver.ini --serve --roles" ssh-ed25519 ${blob.toString('base64')} pitrtools-data@alpha`,
      ]),
    );
  });

  test('never replaces another archive_command', () => {
    const settings = new Map(fresh.settings).set('archive_command', setting('wal-g wal-push %p', 'sighup'));
    const plan = planSetup({ ...base, request: { ...request, apply: true }, server: { ...fresh, settings } });
    const [file] = plan.steps.filter((step) => step.kind === 'write-file' && step.path === conf);
    expect(JSON.stringify(file)).not.toContain('archive_command');
    expect(lines(plan).join('\n')).toContain('the server archives by another program');
  });

  const call = '/usr/bin/cmd_archiver -C /etc/pitrtools/cmd_archiver.ini -F %p';
  const withCommand = (command: string, facts: Partial<SetupFacts> = {}) => {
    const settings = new Map(fresh.settings)
      .set('archive_command', setting(command, 'sighup'))
      .set('archive_mode', setting('on'));
    return planSetup({
      ...base,
      request: { ...request, apply: true },
      server: { ...fresh, settings },
      ...facts,
    });
  };

  test.each([
    [`${call} && pgbackrest --stanza=main archive-push %p`, undefined],
    [`/opt/1.x/bin/cmd_archiver -C /opt/1.x/cmd_archiver.ini -F %p && ${call}`, undefined],
    [`${call}; gzip %p`, 'foreign'],
    [`${call} || true`, 'foreign'],
    [`/usr/bin/cmd_archiver -C /etc/other.ini -F %p && pgbackrest archive-push %p`, 'foreign'],
    ['/old/bin/cmd_archiver -C /etc/other.ini -F %p', 'replaced'],
  ])('leaves what stands beside our call in archive_command: %s', (command, outcome) => {
    const plan = withCommand(command);
    const isReplaced = JSON.stringify(plan.steps).includes('archive_command');
    expect(isReplaced).toBe(outcome === 'replaced');
    expect(lines(plan).join('\n').includes('archives by another program')).toBe(outcome === 'foreign');
  });

  test('gives the role no password that is not in the INI file', () => {
    const applied = { ...base, request: { ...request, apply: true } };
    const { texts } = written(applied, planSetup(applied));
    const path = base.places.standbyIni;
    const ini = texts.get(path) ?? '';
    const plan = (text: string) =>
      kinds(planSetup({ ...applied, texts: new Map(texts).set(path, text), password: 'new' }));
    expect(kinds(planSetup({ ...applied, texts }))).toContain('make-role');
    // It is in .pgpass; then the file has another one, which could not be read for a mistake elsewhere in it.
    expect(plan(ini.replace(/^repl_db_password.*\n/m, ''))).not.toContain('make-role');
    expect(plan(`${ini}no_such_key: 1\n`)).not.toContain('make-role');
  });

  test('never overwrites a file that was changed by hand', () => {
    const texts = written(base, planSetup(base)).texts;
    const ini = texts.get('/etc/pitrtools/cmd_archiver.ini') ?? '';
    const changed = (text: string) =>
      planSetup({ ...base, texts: new Map(texts).set('/etc/pitrtools/cmd_archiver.ini', text) });
    expect(kinds(changed(`${ini}# a remark\n`))).not.toContain('write-file');
    expect(lines(changed(ini.replace('slaves: beta', 'slaves: gamma')))).toContain(
      '# [DEFAULT] slaves: gamma → beta',
    );
    expect(changed(ini.replace('ssh: ssh', 'ssh: /opt/ssh')).notes).toHaveLength(1);
    // Our own of another run, unchanged, is replaced.
    const other = written(base, planSetup({ ...base, archive: '/srv/archive' })).texts;
    expect(kinds(planSetup({ ...base, texts: other }))).toContain('write-file');
  });

  test.each([
    [{ hosts: [{ ...beta, addresses: ['192.0.2.1'] }] }, /beta is this very host/],
    [{ server: { ...fresh, isInRecovery: true } }, /is a standby, not a primary/],
  ] as const)('refuses the wrong host', (facts, message) => {
    expect(() => planSetup({ ...base, ...facts })).toThrow(message);
  });
});

describe('the plan of --setup on a standby', () => {
  const archiver = [...written(base, planSetup(base)).texts].find(([path]) => path.endsWith('archiver.ini'));
  const standby: SetupFacts = {
    ...base,
    request: {
      ...request,
      role: 'standby',
      iniFile: '/etc/pitrtools/cmd_standby.ini',
      others: [{ host: 'alpha', port: undefined }],
      apply: true,
    },
    hostName: 'beta',
    hosts: [{ ...beta, host: 'alpha', addresses: ['192.0.2.1'] }],
    ownAddresses: ['192.0.2.2'],
    server: { kind: 'stopped' },
  };

  test('asks for the setup of the primary first', () => {
    expect(archiver).toBeDefined();
    const plan = planSetup({
      ...standby,
      primary: { kind: 'no-ini', path: '/etc/pitrtools/cmd_archiver.ini' },
    });
    expect(kinds(plan)).toEqual([]);
    expect(lines(plan)).toContain('cmd_archiver --setup --standby beta --apply');
  });

  test('stops no server, and replaces no data by itself', async () => {
    const { parseArchiverConfig } = await import('../../../src/config/load-archiver.ts');
    const config = parseArchiverConfig(archiver?.[1] ?? '');
    if (config.kind !== 'ok') throw new Error(JSON.stringify(config));
    const there = {
      kind: 'seen',
      settings: config.settings,
      ownName: 'beta',
      capabilities: capabilitiesOf(parseVersion('15')),
      port: 5432,
      socketDirectory: '/var/run/postgresql',
      hasHelpers: true,
      role: { role: undefined },
    } as const;
    const seen: SetupFacts = { ...standby, primary: there };
    const first = planSetup(seen);
    expect(kinds(first)).toEqual(['write-file', 'write-file', 'write-file', 'write-hba']);
    const running = planSetup({ ...written(seen, first), server: fresh });
    expect(kinds(running)).toEqual(['make-role']);
    expect(lines(running)).toContain('systemctl stop postgresql@15-main');
    const stopped = { ...written(seen, first), hasPassword: true };
    expect(kinds(planSetup(stopped))).toEqual(['initialize']);
    const marked = planSetup({ ...stopped, archiveOf: '8' });
    expect(kinds(marked)).toEqual([]);
    expect(lines(marked)).toEqual(expect.arrayContaining(['cmd_standby -B', 'cmd_standby -S']));

    // A warm standby, or one that still starts, answers no queries: it is not to be stopped.
    const warm = planSetup({
      ...stopped,
      archiveOf: '7',
      queuesOf: '7',
      queues: ['alpha'],
      server: { kind: 'unasked', reason: 'the database system is starting up' },
    });
    expect(warm).toEqual({ steps: [], todos: [], notes: [] });

    // The server does not run yet, and is to archive by another program.
    const both = `/usr/bin/cmd_archiver -C /etc/pitrtools/cmd_archiver.ini -F %p && wal-g %p`;
    const joint = planSetup({ ...seen, configured: new Map([['archive_command', { value: both }]]) });
    expect(JSON.stringify(joint.steps)).toContain(`archive_command = '${both}'`);
    const other = planSetup({ ...seen, configured: new Map([['archive_command', { value: 'wal-g %p' }]]) });
    const [file] = other.steps.filter((step) => step.kind === 'write-file' && step.path === conf);
    expect(JSON.stringify(file)).not.toContain('archive_command');
    expect(lines(other).join('\n')).toContain('archives by another program');

    // The other standby is its primary after a change of roles, or gets its WAL.
    const gamma: HostFacts = {
      host: 'gamma',
      port: 2222,
      login: { kind: 'denied', byOwnKeys: false },
      addresses: ['192.0.2.3'],
      archive: '/srv/gamma',
      hasArchive: undefined,
    };
    const three = planSetup({ ...seen, hosts: [...seen.hosts, gamma] });
    const texts = three.steps.flatMap((step) =>
      step.kind === 'write-file' ? [step.text] : step.kind === 'write-hba' ? step.lines : [],
    );
    expect(texts.join('')).toContain('slaves: alpha, gamma\n');
    expect(texts.join('')).toMatch(/\[gamma\]\nssh: ssh -p 2222 .*\nr_archivedir: \/srv\/gamma\n/);
    expect(texts.join('')).toContain('host replication +pitrtools 192.0.2.3/32 ');
    const shown = lines(three).join('\n');
    expect(shown).toMatch(
      /on gamma, as postgres: gamma does not let our keys in yet.*\ncmd_standby --setup --primary alpha --authorize 'ssh-ed25519 /,
    );
    expect(shown).not.toContain('cmd_archiver --setup');
    const sent = planSetup({
      ...seen,
      hosts: [...seen.hosts, { ...gamma, login: { kind: 'denied', byOwnKeys: true } }],
    });
    expect(kinds(sent)).toContain('send-keys');
  });
});

test('the commands for a server whose programs are not on the PATH name their directory', () => {
  const cluster = { ...base.cluster, pgdata: '/srv/data', debianName: undefined };
  const facts = { ...base, cluster, programFolder: '/opt/pg/bin' };
  expect(serverCommand(facts, 'restart').line).toBe('/opt/pg/bin/pg_ctl -D /srv/data -m fast restart');
  expect(lines(planSetup(facts)).join('\n')).toContain('\n/opt/pg/bin/psql -h /var/run/postgresql ');
});

test('the call that continues has the options that no INI file has yet', () => {
  const asked = { ...request, cluster: '15/main', archive: '/srv/a b', apply: true } as const;
  expect(againText({ ...base, request: asked })).toBe(
    "cmd_archiver --setup --standby beta --cluster 15/main --archive '/srv/a b' --apply",
  );
  const texts = new Map([[base.places.archiverIni, '']]);
  expect(againText({ ...base, texts, request: { ...asked, force: 'foreign' } })).toBe(
    'cmd_archiver --setup --apply --force=foreign',
  );
});
