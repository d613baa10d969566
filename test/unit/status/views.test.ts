import { describe, expect, test } from 'vitest';
import type { Finding } from '../../../src/status/finding.ts';
import type { StatusReport } from '../../../src/status/report.ts';
import { jsonView } from '../../../src/status/views/json.ts';
import { nagiosView } from '../../../src/status/views/nagios.ts';
import { fittingWidths, peopleView, tableOf } from '../../../src/status/views/people.ts';
import { prometheusView } from '../../../src/status/views/prometheus.ts';

const atMs = Date.UTC(2026, 0, 1, 12, 0, 0);
const queue: Finding = {
  name: 'queue',
  about: 'b',
  level: 'warning',
  message: 'WAL is queued for standby b\u001B[31m',
  sinceMs: atMs - 90_000,
  hint: 'Wait for it.',
};

function report(changes: Partial<StatusReport> = {}): StatusReport {
  return {
    program: 'cmd_archiver',
    programVersion: '2.0.0',
    host: 'alpha',
    atMs,
    findings: [queue],
    facts: {
      written: { kind: 'seen', value: 0x5000060n, atMs },
      standbys: [{ name: 'b', queue: { kind: 'unknown', reason: 'no answer', atMs } }],
    },
    sections: [
      {
        title: 'Host',
        rows: [
          ['role', 'primary'],
          ['long', 'word '.repeat(40)],
        ],
      },
    ],
    metrics: [
      {
        name: 'queue_bytes',
        help: 'Its size.',
        type: 'gauge',
        samples: [
          { labels: { standby: 'b "x"\n' }, value: 12 },
          { labels: { standby: 'c' }, value: undefined },
        ],
      },
      {
        name: 'unknown_bytes',
        help: 'No sample.',
        type: 'gauge',
        samples: [{ labels: {}, value: undefined }],
      },
    ],
    ...changes,
  };
}

describe('for people', () => {
  test('says first whether all is well, then what is not, then why something is unknown', () => {
    const text = peopleView(report(), { columns: undefined, hasColour: false });
    expect(text.split('\n').slice(0, 3)).toEqual([
      'alpha (cmd_archiver): needs attention',
      'WARNING  WAL is queued for standby b\\x1b[31m (for 1 min 30 s)',
      '         → Wait for it.',
    ]);
    expect(text).toMatch(/Not known:\n {2}standbys\.b\.queue +no answer/);
    const well = peopleView(report({ findings: [], facts: {} }), { columns: undefined, hasColour: false });
    expect(well).toMatch(/^alpha \(cmd_archiver\): all is well\n\nHost:/);
    expect(well).not.toContain('Not known');
  });

  test.each([40, 80, 132])('fits a terminal of %i columns, with and without colour', (columns) => {
    const plain = peopleView(report(), { columns, hasColour: false });
    expect(Math.max(...plain.split('\n').map((line) => line.length))).toBeLessThan(columns);
    expect(plain.replaceAll(/\s+/g, ' ')).toContain('word word word');
    const colour = peopleView(report(), { columns, hasColour: true });
    // eslint-disable-next-line no-control-regex -- these are what is removed
    expect(colour.replaceAll(/\u001B\[\d+m/g, '')).toBe(plain);
    expect(colour).not.toBe(plain);
  });

  test.each([60, 80, 100])(
    'a word that is wider than its column in %i columns is continued, not cut',
    (columns) => {
      const words = [
        '000000010000000000000001',
        '0000000100000000000000A2',
        '2026-11-28 09:10:02 UTC',
        'delivered',
      ];
      const row = [...words, '2026-11-28 10:40:31 UTC', '162'];
      const lines = tableOf([row], columns);
      expect(lines.join('')).not.toContain('…');
      expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(columns);
      const starts = [...(lines[0] ?? '').matchAll(/\S+/g)].map(({ index }) => index);
      const first = lines.map((line) => line.slice(0, starts[1]).trim()).join('');
      expect(first).toBe(words[0]);
    },
  );

  test('a text in a script with wide characters is shown whole', () => {
    const text = 'データベース"postgres"に接続できません：認証に失敗しました';
    expect(tableOf([[text, 'a']], undefined)).toEqual([`${text}  a`]);
    const lines = tableOf([['reason', text]], 40);
    expect(lines.map((line) => line.replace('reason', '').trim()).join('')).toBe(text);
  });

  test('the widest column gives way first', () => {
    expect(fittingWidths([10, 50, 20], 80)).toEqual([10, 50, 20]);
    expect(fittingWidths([10, 50, 20], 60)).toEqual([10, 30, 20]);
    expect(fittingWidths([10, 50, 40], 60)).toEqual([10, 25, 25]);
    expect(fittingWidths([30, 30], 4)).toEqual([8, 8]);
  });
});

test('for Prometheus, an unknown number has no sample, and the unknown fact has one', () => {
  const text = prometheusView(report());
  expect(text).toContain('pitrtools_queue_bytes{program="cmd_archiver",standby="b \\"x\\"\\n"} 12\n');
  expect(text).not.toContain('standby="c"');
  expect(text).not.toContain('unknown_bytes');
  expect(text).toContain('pitrtools_fact_unknown{program="cmd_archiver",fact="standbys.b.queue"} 1\n');
  expect(text).toContain('pitrtools_status{program="cmd_archiver",level="warning"} 1\n');
  expect(text).toContain('pitrtools_status{program="cmd_archiver",level="ok"} 0\n');
  expect(text).toContain(
    'pitrtools_finding{program="cmd_archiver",name="queue",about="b",level="warning"} 1\n',
  );
  expect(text).toContain(`metrics_written_timestamp_seconds{program="cmd_archiver"} ${atMs / 1000}\n`);
  for (const line of text.trimEnd().split('\n'))
    expect(line).toMatch(/^(# (HELP|TYPE) pitrtools_\w+ .+|pitrtools_\w+\{.+\} (-?[\d.e+]+|\+Inf))$/);
});

test('for Prometheus, a label has no other escapes than its own', () => {
  const samples = [{ labels: { standby: 'a\u001B[31m\\"\n' }, value: 1 }];
  const metrics = [{ name: 'queue_bytes', help: 'Its size.', type: 'gauge' as const, samples }];
  expect(prometheusView(report({ metrics }))).toContain(
    String.raw`pitrtools_queue_bytes{program="cmd_archiver",standby="a\\x1b[31m\\\"\n"} 1`,
  );
});

test('for Prometheus, two findings of one name are two', () => {
  const worse = { ...queue, level: 'critical' } as const;
  const text = prometheusView(report({ findings: [worse, queue, queue] }));
  const levels = [...text.matchAll(/^pitrtools_finding\{.*level="(\w+)"\} 1$/gm)].map(([, level]) => level);
  expect(levels).toEqual(['critical', 'warning']);
});

test('for Nagios, one line: the worst finding, and numbers behind a bar', () => {
  expect(nagiosView(report({ host: 'al|pha' }))).toBe(
    String.raw`cmd_archiver WARNING - al/pha: WAL is queued for standby b\x1b[31m | 'b "x"\n queue_bytes'=12B`,
  );
  expect(nagiosView(report({ findings: [], metrics: [] }))).toBe(
    'cmd_archiver OK - alpha: nothing to report',
  );
});

test('as JSON, no character of another host reaches a terminal as it is', () => {
  const reversed: Finding = { ...queue, about: 'b\u202Ec\u009B31m' };
  const text = jsonView(report({ findings: [reversed] }));
  expect(text).toContain(String.raw`b\u202ec\u009b31m`);
  expect(JSON.parse(text)).toMatchObject({ findings: [{ about: reversed.about }] });
});

test('as JSON, each fact says when it was seen, or why it is not known', () => {
  expect(JSON.parse(jsonView(report()))).toEqual({
    version: 1,
    program: 'cmd_archiver',
    programVersion: '2.0.0',
    host: 'alpha',
    at: '2026-01-01T12:00:00.000Z',
    level: 'warning',
    findings: [
      {
        name: 'queue',
        about: 'b',
        level: 'warning',
        message: queue.message,
        hint: 'Wait for it.',
        since: '2026-01-01T11:58:30.000Z',
      },
    ],
    facts: {
      written: { seenAt: '2026-01-01T12:00:00.000Z', value: '0/5000060' },
      standbys: [{ name: 'b', queue: { seenAt: '2026-01-01T12:00:00.000Z', unknown: 'no answer' } }],
    },
  });
});
