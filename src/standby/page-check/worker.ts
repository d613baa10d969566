// A thread that checks files: it receives batches of them and sends back its results.
import { parentPort, workerData } from 'node:worker_threads';
import type { PageLayout } from '../../postgres/control-file.ts';
import { checkFile, type FileCheck, makeBuffer } from './check-file.ts';
import type { RelationFile } from './relation-files.ts';

export interface WorkerData {
  readonly pgdata: string;
  readonly layout: PageLayout;
}

const { pgdata, layout } = workerData as WorkerData;
const buffer = makeBuffer(layout);

parentPort?.on('message', (files: readonly RelationFile[]) => {
  const checks: FileCheck[] = files.map((file) => checkFile(pgdata, file, layout, buffer));
  parentPort?.postMessage(checks);
});
