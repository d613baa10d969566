import { printable } from '../../system/printable.ts';
import { unknownFacts } from '../fact.ts';
import { levels, worstOf } from '../finding.ts';
import type { Metric, StatusReport } from '../report.ts';

const prefix = 'pitrtools';

/** Only these three escapes exist there: what else cannot be shown is written out, with a backslash that is escaped. */
function labelValue(value: string): string {
  const lines = value.split('\n').map((line) => printable(line).replaceAll('\\', '\\\\'));
  return lines.join('\\n').replaceAll('"', '\\"');
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const texts = Object.entries(labels).map(([name, value]) => `${name}="${labelValue(value)}"`);
  return texts.length === 0 ? '' : `{${texts.join(',')}}`;
}

/** A fact that is not known has no sample: 0 would be a lie, and the last value an old one. */
function linesOf({ name, help, type, samples }: Metric, program: string): string[] {
  const known = samples.filter(({ value }) => value !== undefined);
  if (known.length === 0) return [];
  const full = `${prefix}_${name}`;
  return [
    `# HELP ${full} ${help}`,
    `# TYPE ${full} ${type}`,
    ...known.map(
      ({ labels, value = 0 }) =>
        `${full}${labelText({ program, ...labels })} ${value === Infinity ? '+Inf' : String(value)}`,
    ),
  ];
}

function ownMetrics({ findings, facts, atMs, programVersion }: StatusReport): Metric[] {
  const level = worstOf(findings);
  return [
    {
      name: 'info',
      help: 'The version of the program that wrote this.',
      type: 'gauge',
      samples: [{ labels: { version: programVersion }, value: 1 }],
    },
    {
      name: 'status',
      help: 'Whether this is the level of the worst finding.',
      type: 'gauge',
      samples: levels.map((one) => ({ labels: { level: one }, value: one === level ? 1 : 0 })),
    },
    {
      name: 'finding',
      help: 'A finding that exists now: 1.',
      type: 'gauge',
      samples: [
        ...new Map(findings.map((one) => [`${one.name} ${one.level} ${one.about ?? ''}`, one])).values(),
      ].map(({ name, about = '', level: severity }) => ({
        labels: { name, about, level: severity },
        value: 1,
      })),
    },
    {
      name: 'fact_unknown',
      help: 'A fact that could not be had: 1.',
      type: 'gauge',
      samples: unknownFacts(facts).map(({ path }) => ({ labels: { fact: path }, value: 1 })),
    },
    {
      name: 'metrics_written_timestamp_seconds',
      help: 'When this was written, in seconds since 1970.',
      type: 'gauge',
      samples: [{ labels: {}, value: Math.round(atMs / 1000) }],
    },
  ];
}

/** The text format of Prometheus, for the textfile collector of node_exporter: without time stamps. */
export function prometheusView(report: StatusReport): string {
  const lines = [...ownMetrics(report), ...report.metrics].flatMap((metric) =>
    linesOf(metric, report.program),
  );
  return `${lines.join('\n')}\n`;
}
