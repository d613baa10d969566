import { mustRun, type StartOptions } from '../../../test/harness/processes.ts';

/** bash can measure the time without starting a program. As in PostgreSQL, each call goes through sh -c. */
const timer = `
for ((i = 0; i < $1; i++)); do
  for command in "\${@:2}"; do
    from=$EPOCHREALTIME
    /bin/sh -c "$command" || exit
    to=$EPOCHREALTIME
    echo "$((\${to/./} - \${from/./}))"
  done
done`;

/** Runs the commands one after the other, so many times each: microseconds of each call, by command. */
export async function timeInTurn(
  commands: readonly string[],
  calls: number,
  where: Pick<StartOptions, 'cwd' | 'env'>,
): Promise<number[][]> {
  const printed = await mustRun('/bin/bash', ['-c', timer, 'bash', String(calls), ...commands], {
    ...where,
    limitMs: 600_000,
  });
  const times = printed.trim().split('\n').map(Number);
  return commands.map((_, place) => times.filter((_time, index) => index % commands.length === place));
}
