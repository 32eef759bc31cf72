"""Judges the needles of os_autoinst.rs by OpenCV, which os-autoinst judges by, and prints FIGURES.

Run it by hand where python3-opencv is: the figures in os_autoinst.rs are those of OpenCV 5.0.0, whose
cvtColor, GaussianBlur and matchTemplate (TM_SQDIFF) share no line with what they are held against.
The needles are read from os_autoinst.rs; the pictures are drawn here a second time.
"""

import json
import pathlib
import re

import cv2
import numpy as np


def fill(picture, x, y, width, height, color):
    picture[y : y + height, x : x + width] = (color & 255, color >> 8 & 255, color >> 16 & 255)


def button(picture, x, y):
    fill(picture, x, y, 60, 20, 0xC0C0C0)
    for letter in range(6):
        fill(picture, x + 8 + letter * 8, y + 5, 2, 10, 0x101010)
        fill(picture, x + 10 + letter * 8, y + 5 + letter, 3, 2, 0x101010)


def drawn():
    picture = np.zeros((200, 320, 3), np.uint8)
    fill(picture, 0, 0, 320, 200, 0x406080)
    button(picture, 40, 30)
    fill(picture, 200, 120, 40, 30, 0xB03020)
    fill(picture, 210, 126, 12, 18, 0x20E0C0)
    return picture


def moved(picture, by):
    fill(picture, 40, 30, 60, 20, 0x406080)
    button(picture, 40 + by, 30)


def screen_of(name):
    picture = drawn()
    if name in ("moved_40", "moved_90"):
        moved(picture, int(name[-2:]))
    elif name == "tinted":
        picture += 15
    elif name == "dot":
        fill(picture, 52, 38, 6, 4, 0x505050)
    elif name == "second_gone":
        fill(picture, 200, 120, 40, 30, 0x406080)
    elif name == "black":
        picture[:] = 0
    elif name == "small":
        picture = picture[:60, :90].copy()
    elif name != "same":
        raise ValueError(name)
    return picture


def soft(picture, excluded):
    picture = picture.copy()
    for area in excluded:
        fill(picture, area["xpos"], area["ypos"], area["width"], area["height"], 0x00FF00)
    return cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (3, 3), 0)


def judged(needle, screen, area):
    """The similarity in percent, and where."""
    x, y, width, height = (area[name] for name in ("xpos", "ypos", "width", "height"))
    rows, columns = screen.shape
    if x + width > columns or y + height > rows:
        return 0.0, x, y
    margin = area.get("margin") or 50
    left, top = max(0, x - margin), max(0, y - margin)
    scene = screen[top : min(rows, y + height + margin), left : min(columns, x + width + margin)]
    part = needle[y : y + height, x : x + width]
    squares = cv2.matchTemplate(scene, part, cv2.TM_SQDIFF)
    least = squares.min()
    places = np.argwhere(squares <= least + 10)
    away = [(px + left - x) ** 2 + (py + top - y) ** 2 for py, px in places]
    py, px = places[int(np.argmin(away))]
    there = scene[py : py + height, px : px + width].astype(int)
    part = part.astype(int)
    steps = np.floor(there / 16 + 0.5) - np.floor(part / 16 + 0.5)
    counted = np.where(abs(there - part) < 16, 0, steps * 16)
    mean = (counted**2).sum() / (width * height)
    return min(1.0, max(0.0, 0.9 + (40 - mean) / 380)) * 100, int(px + left), int(py + top)


text = pathlib.Path(__file__).with_name("os_autoinst.rs").read_text()
for name, form, screen in re.findall(r'case\(\s+"([^"]+)",\s+r#"(.*?)"#,\s+(\w+),', text):
    areas = json.loads(form)["area"]
    excluded = [area for area in areas if area.get("type") == "exclude"]
    needle, picture = soft(drawn(), excluded), soft(screen_of(screen), excluded)
    for area in areas:
        if area.get("type", "match") == "match":
            percent, x, y = judged(needle, picture, area)
            print(f'    ("{name}", {percent:.4f}, {x}, {y}),')
