import { quoted } from '../../system/printable.ts';
import { type Level, worstOf } from '../finding.ts';
import type { Metric, StatusReport } from '../report.ts';

/** Nagios cuts a longer one. */
const longestLine = 1000;
const words = { ok: 'OK', unknown: 'UNKNOWN', warning: 'WARNING', critical: 'CRITICAL' } as const;
const codes = { ok: 0, warning: 1, critical: 2, unknown: 3 } as const;

/** The exit status that Nagios expects. */
export function nagiosCode(level: Level): number {
  return codes[level];
}

/** Performance data: `'label'=value[unit]`. */
const units: Readonly<Record<string, string>> = { bytes: 'B', seconds: 's' };

function performance({ name, samples }: Metric): string[] {
  const unit = units[name.split('_').at(-1) ?? ''] ?? '';
  return samples
    .filter(({ value }) => value !== undefined && Number.isFinite(value))
    .map(({ labels, value }) => {
      const label = quoted([...Object.values(labels), name].join(' ')).replaceAll(/['=|]/g, '_');
      return `'${label}'=${String(value)}${unit}`;
    });
}

/** One line: the worst finding and how many there are; what stands behind `|` is for graphs. */
export function nagiosView({ program, host, findings, metrics }: StatusReport): string {
  const level = worstOf(findings);
  const [worst] = findings;
  const others = findings.length > 1 ? ` (and ${findings.length - 1} more)` : '';
  const text = worst === undefined ? `${host}: nothing to report` : `${host}: ${worst.message}${others}`;
  const line = quoted(`${program} ${words[level]} - ${text}`, longestLine).replaceAll('|', '/');
  const numbers = metrics.flatMap(performance);
  return numbers.length === 0 ? line : `${line} | ${numbers.join(' ')}`;
}
