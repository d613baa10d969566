import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { metricsOf } from '../../../src/archiver/status/show.ts';
import { prometheusView } from '../../../src/status/views/prometheus.ts';
import { checkout } from '../../harness/checkout.ts';
import { seen, standby, unknown, well } from '../archiver/status/facts-kit.ts';

const streaming = {
  ...standby,
  stream: seen({
    application: 'b',
    address: '',
    hostname: '',
    state: 'streaming',
    sync: 'async',
    sent: 1n,
    replayed: 1n,
    replayLagS: 1,
  }),
};

/** Every metric there is: one finding, and one fact that is not known. */
function writtenNames(): ReadonlySet<string> {
  const text = prometheusView({
    program: 'cmd_archiver',
    programVersion: '2.0.0',
    host: 'alpha',
    atMs: 0,
    findings: [{ name: 'gap', level: 'critical', message: 'm', hint: 'h' }],
    facts: { unknown },
    sections: [],
    metrics: metricsOf({ ...well, standbys: [streaming] }),
  });
  return new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name));
}

const textOf = (...path: string[]) => readFileSync(checkout(...path), 'utf8');

test.each([
  ['etc', 'prometheus', 'pitrtools-rules.yml'],
  ['etc', 'grafana', 'pitrtools.json'],
  ['doc', 'status.md'],
])('%s/%s%s uses only metrics that are written', (...path) => {
  const names = writtenNames();
  const used = [...textOf(...path.filter(Boolean)).matchAll(/\bpitrtools_[a-z_]+/g)].map(([name]) => name);
  const fileNames = ['pitrtools_archiver'];
  expect(used.filter((name) => !names.has(name) && !fileNames.includes(name))).toEqual([]);
  expect(used).not.toEqual([]);
});

test('doc/monitoring.md has every alert with its severity', () => {
  const rules = textOf('etc', 'prometheus', 'pitrtools-rules.yml');
  const alerts = [...rules.matchAll(/- alert: (\w+)[^]*?severity: (\w+)/g)].map(([, name, severity]) => [
    name,
    severity,
  ]);
  const rows = [...textOf('doc', 'monitoring.md').matchAll(/^\| `(Pitrtools\w+)` \| (\w+) \|/gm)];
  expect(alerts.length).toBeGreaterThan(0);
  expect(rows.map(([, name, severity]) => [name, severity])).toEqual(alerts);
});

test('doc/monitoring.md names every file of etc that it is about', () => {
  const page = textOf('doc', 'monitoring.md');
  const files = ['prometheus', 'grafana', 'nagios', 'systemd'].flatMap((directory) =>
    readdirSync(checkout('etc', directory)).map((file) => join(directory, file)),
  );
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) expect(page).toContain(file.replace(/^systemd\//, ''));
});
