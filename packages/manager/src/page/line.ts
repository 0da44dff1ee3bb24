import Plot from './uplot.js'

/** Options of a line. */
export interface LineOptions {
  /** What it measures, for screen readers. */
  readonly name: string
  /** Formats a value with its unit. */
  readonly text: (value: number) => string
  /** Pixels. */
  readonly height: number
}

const color = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name)

/** A chart of one line, as wide as the element around it. */
export class Line {
  readonly node: HTMLElement = document.createElement('div')
  /** The last value, formatted. */
  now = ''
  /** The highest value, formatted. */
  peak = ''
  readonly #options: LineOptions
  readonly #plot: InstanceType<typeof Plot>
  readonly #stop = new AbortController()

  constructor(options: LineOptions) {
    this.#options = options
    const { height } = options
    this.node.className = 'plot'
    this.node.role = 'img'
    const width = (): number => Math.max(1, Math.floor(this.node.clientWidth))
    this.#plot = new Plot(
      {
        width: width(),
        height,
        padding: [4, 0, 1, 0],
        legend: { show: false },
        cursor: { show: false },
        axes: [{ show: false }, { show: false }],
        scales: { y: { range: (_plot, _low, high) => [0, Math.max(high ?? 0, 1)] } },
        series: [
          {},
          { stroke: () => color('--accent'), fill: () => color('--accent-wash'), width: 1.5, points: { show: false } },
        ],
      },
      [[], []],
      this.node,
    )
    const { signal } = this.#stop
    const resized = new ResizeObserver(() => this.#plot.setSize({ width: width(), height }))
    resized.observe(this.node)
    signal.addEventListener('abort', () => resized.disconnect())
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#plot.redraw(), { signal })
    this.show([], [])
  }

  /** @param times seconds since the epoch. */
  show(times: number[], values: number[]): void {
    const { name, text } = this.#options
    this.now = text(values.at(-1) ?? 0)
    this.peak = text(Math.max(0, ...values))
    this.node.ariaLabel = `${name}: ${this.now} now, at most ${this.peak}`
    this.#plot.setData([times, values])
  }

  /** Removes the chart and its listeners. */
  destroy(): void {
    this.#stop.abort()
    this.#plot.destroy()
  }
}
