import Plot from './uplot.js'

/** A line of a chart. */
export interface Series {
  readonly name: string
  /** The CSS variable of its colour. */
  readonly color: string
}

/** Options of a chart. */
export interface ChartOptions {
  readonly name: string
  readonly series: readonly Series[]
  /** Formats a value with its unit. */
  readonly text: (value: number) => string
  /** The cursor of a chart has moved to this time, or has left. */
  readonly onCursor: (index: number | null) => void
}

/** Pixels. */
const HEIGHT = 132
const AXIS_HEIGHT = 24
const AXIS_WIDTH = 58

const FONT = '11px system-ui, sans-serif'

/** All charts of the page share the cursor. */
const CURSOR = 'time'

const color = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name)

/** A chart with a time axis and a scale. The arrow keys move its cursor, which all charts share. */
export class Chart {
  readonly node: HTMLElement = document.createElement('div')
  readonly #options: ChartOptions
  readonly #plot: InstanceType<typeof Plot>
  #range: [from: number, to: number] = [0, 1]

  constructor(options: ChartOptions) {
    this.#options = options
    const { node } = this
    node.className = 'plot'
    node.role = 'slider'
    node.tabIndex = 0
    node.ariaLabel = `${options.name}, time`
    node.addEventListener('keydown', event => this.#onKey(event))
    node.addEventListener('blur', () => this.#moveCursor(null))
    this.#plot = new Plot(this.#plotOptions(), [[], ...options.series.map(() => [])], node)
    new ResizeObserver(() => this.#plot.setSize({ width: this.#width, height: HEIGHT })).observe(node)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#plot.redraw())
  }

  /** @param times seconds since the epoch. `range` too. */
  show(times: number[], values: (number | null)[][], range: [from: number, to: number]): void {
    this.#range = range
    this.#plot.setData([times, ...values])
    this.#describe()
  }

  /** The sample under the cursor; the last one if there is no cursor. */
  values(): (number | null)[] {
    const { data, cursor } = this.#plot
    const at = cursor.idx ?? data[0].length - 1
    return this.#options.series.map((_, i) => data[i + 1]?.[at] ?? null)
  }

  get #width(): number {
    return Math.max(1, Math.floor(this.node.clientWidth))
  }

  #plotOptions(): ConstructorParameters<typeof Plot>[0] {
    const { series, text, onCursor } = this.#options
    const axis = { stroke: () => color('--quiet'), font: FONT, ticks: { show: false } }
    const grid = { stroke: () => color('--line'), width: 1 }
    return {
      width: this.#width,
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: CURSOR, setSeries: false }, drag: { x: false, y: false }, y: false, points: { size: 7 } },
      hooks: {
        setCursor: [
          ({ cursor }) => {
            onCursor(cursor.idx ?? null)
            this.#describe()
          },
        ],
      },
      axes: [
        { ...axis, grid: { show: false }, size: AXIS_HEIGHT, space: 64, values: (_plot, splits) => splits.map(clock) },
        { ...axis, grid, size: AXIS_WIDTH, space: 34, values: (_plot, splits) => splits.map(text) },
      ],
      scales: {
        x: { time: true, range: () => this.#range },
        y: { range: (_plot, _low, high) => [0, Math.max((high ?? 0) * 1.1, 1)] },
      },
      series: [
        {},
        ...series.map(({ color: name }, i) => ({
          stroke: () => color(name),
          ...(i === 0 ? { fill: () => color(`${name}-wash`) } : {}),
          width: 1.5,
          spanGaps: true,
          points: { show: false },
        })),
      ],
    }
  }

  #onKey(event: KeyboardEvent): void {
    const times = this.#plot.data[0]
    const visible = times.findIndex(time => time >= this.#range[0])
    const last = times.length - 1
    const at = this.#plot.cursor.idx ?? last
    const steps: Record<string, number | null> = {
      ArrowLeft: Math.max(visible, at - 1),
      ArrowRight: Math.min(last, at + 1),
      Home: visible,
      End: last,
      Escape: null,
    }
    const step = steps[event.key]
    if (step === undefined || last < 0) return
    event.preventDefault()
    this.#moveCursor(step)
  }

  #moveCursor(index: number | null): void {
    const time = index === null ? undefined : this.#plot.data[0][index]
    const left = time === undefined ? -10 : this.#plot.valToPos(time, 'x')
    for (const plot of Plot.sync(CURSOR).plots) plot.setCursor({ left, top: time === undefined ? -10 : 10 })
  }

  /** What a screen reader says: the time and the values. */
  #describe(): void {
    const { data, cursor } = this.#plot
    const times = data[0]
    const at = cursor.idx ?? times.length - 1
    const { node } = this
    node.ariaValueMin = '0'
    node.ariaValueMax = String(Math.max(0, times.length - 1))
    node.ariaValueNow = String(Math.max(0, at))
    const time = times[at]
    node.ariaValueText =
      time === undefined
        ? 'no samples'
        : `${new Date(time * 1_000).toLocaleTimeString()}: ${this.values()
            .map(
              (value, i) => `${this.#options.series[i]?.name} ${value === null ? 'none' : this.#options.text(value)}`,
            )
            .join(', ')}`
  }
}

/** Hours and minutes; seconds only where they are not zero. */
function clock(time: number): string {
  const date = new Date(time * 1_000)
  const second = date.getSeconds() === 0 ? {} : { second: '2-digit' as const }
  return date.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', ...second })
}
