import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { laneOf } from '../../../../src/archiver/lane/lane.ts';
import type { LaneState } from '../../../../src/archiver/lane/state.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import { prepareMarkers, withdrawMarkers } from '../../../../src/archiver/markers/markers.ts';
import { shipperPlaces } from '../../../../src/archiver/markers/places.ts';
import { createCopier } from '../../../../src/archiver/queue/local-copy.ts';
import { addReady, admit, createBoard, findComplete } from '../../../../src/archiver/shipper/board.ts';
import { createShipperLane } from '../../../../src/archiver/shipper/lane-record.ts';
import { recheckBoardIfDue } from '../../../../src/archiver/shipper/recheck-board.ts';
import { createWakeUp } from '../../../../src/archiver/shipper/signal.ts';
import type { Work } from '../../../../src/archiver/shipper/work.ts';
import type { Cluster } from '../../../../src/archiver/wal/cluster.ts';
import type { WalFile } from '../../../../src/archiver/wal/wal-file.ts';
import type { StandbyTarget } from '../../../../src/config/options-archiver.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const systemIdentifier = '7000000000000000001';
const segment = '000000010000000000000001';

/** Two standbys that have a segment, queued or delivered, and its marker. */
async function marked() {
  const layout = layoutOf(temporaryDirectory());
  mkdirSync(layout.privateDirectory);
  const places = shipperPlaces(layout);
  const board = createBoard(['s1', 's2']);
  addReady(board, segment);
  admit(board, { name: { kind: 'segment', text: segment } } as unknown as WalFile);
  const shipment = board.shipments.get(segment);
  if (shipment === undefined) throw new Error('no shipment');
  shipment.owed.clear();
  shipment.isMarked = true;
  const lanes = (['s1', 's2'] as const).map((name) =>
    createShipperLane(laneOf(layout, { name } as StandbyTarget)),
  );
  const deps = {
    layout,
    settings: { pgdata: layout.root, queue_compress: false },
  } as unknown as ArchiverDeps;
  const work: Work = {
    deps,
    copier: createCopier(deps),
    cluster: { systemIdentifier } as unknown as Cluster,
    places,
    board,
    lanes,
    stop: new AbortController().signal,
    decide: createWakeUp(),
    lastProgressMs: 0,
    isRecheckDue: false,
    isSlowPathWarned: false,
    frames: undefined,
  };
  await prepareMarkers(places, systemIdentifier, layout.root);
  const free = async (name: string, state: LaneState): Promise<void> => {
    writeFileSync(laneOf(layout, { name } as StandbyTarget).stateFile, JSON.stringify(state));
    await withdrawMarkers(places);
  };
  return { work, lanes, shipment, free, isComplete: () => findComplete(board).length > 0 };
}

const abandoned: LaneState = { health: 'abandoned', freed: '1', abandoned: { since: '', by: 'operator' } };

describe('count as long as no marker was withdrawn', () => {
  test('is believed as long as no marker was withdrawn', async () => {
    const { work, shipment } = await marked();
    await recheckBoardIfDue(work);
    expect(shipment.isMarked).toBe(true);
  });

  test('no longer count for an abandoned standby, but still for the other one', async () => {
    const { work, lanes, shipment, free, isComplete } = await marked();
    await free('s1', abandoned);
    await recheckBoardIfDue(work);
    expect(shipment.isMarked).toBe(false);
    expect(isComplete()).toBe(true);
    expect(lanes.map(({ isAbandoned }) => isAbandoned)).toEqual([true, false]);
    await free('s2', abandoned);
    await recheckBoardIfDue(work);
    expect(isComplete()).toBe(false);
  });

  test('no longer count for a standby that was resumed before the check, which then gets all files again', async () => {
    const { work, shipment, free, isComplete } = await marked();
    await free('s1', { health: 'behind', freed: '1' });
    await recheckBoardIfDue(work);
    expect([...shipment.owed]).toEqual(['s1']);
    expect(isComplete()).toBe(false);
    shipment.owed.clear();
    await free('s2', abandoned);
    await recheckBoardIfDue(work);
    expect([...shipment.owed]).toEqual([]);
    expect(isComplete()).toBe(true);
  });

  test('are checked again if the check has failed half way', async () => {
    const { work, shipment, free } = await marked();
    await free('s2', 'no state' as unknown as LaneState);
    await expect(recheckBoardIfDue(work)).rejects.toThrow('cannot understand');
    writeFileSync(work.lanes[1]?.stateFile ?? '', JSON.stringify(abandoned));
    await recheckBoardIfDue(work);
    expect(shipment.isMarked).toBe(false);
    expect([...shipment.abandoned]).toEqual(['s2']);
  });
});
