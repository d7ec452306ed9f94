"""Tables as people have them, and how they are read."""

ACCENT = "\u00e9"  # one letter; "e\u0301" is the same one in two

# name: (tables by path, {image: (label, split)}, arguments, what the plan must say)
CASES = {
    "ids of a competition, and a folder train": (
        {"train.csv": "id,breed\n0a1b,beagle\n0a2c,pug\n0a3d,beagle\n"},
        {
            "train/0a1b.jpg": ("beagle", "train"),
            "train/0a2c.jpg": ("pug", "train"),
            "train/0a3d.jpg": ("beagle", "train"),
        },
        {},
        ["Table train.csv: images from 'id', classes from 'breed'"],
    ),
    "a column of 0 and 1 for each class, with spaces": (
        {"_classes.csv": "filename, cat, dog\nx.jpg, 0, 1\ny.jpg, 1, 0\n"},
        {"images/x.jpg": ("dog", None), "images/y.jpg": ("cat", None)},
        {},
        ["Table _classes.csv: images from 'filename', classes from the columns 'cat', 'dog'"],
    ),
    "quotes after spaces": (
        {"_classes.csv": 'filename, "cat, big", "dog"\nx.jpg, 0, 1\n"y.jpg", 1, 0\n'},
        {"images/x.jpg": ("dog", None), "images/y.jpg": ("cat, big", None)},
        {},
        ["classes from the columns 'cat, big', 'dog'"],
    ),
    "a table beside the images in the only folder": (
        {"photos/list.csv": "file,class\nx.jpg,a\ny.jpg,b\n"},
        {"photos/x.jpg": ("a", None), "photos/y.jpg": ("b", None)},
        {},
        ["Table photos/list.csv: images from 'file', classes from 'class'"],
    ),
    "two columns whose headers say the same": (
        {"a.csv": "image,label,Label,Image\nx.jpg,a,1,9.jpg\ny.jpg,b,2,9.jpg\nz.jpg,a,3,9.jpg\n"},
        {"x.jpg": ("a", None), "y.jpg": ("b", None), "z.jpg": ("a", None)},
        {},
        ["Table a.csv: images from 'image', classes from 'label'"],
    ),
    "a better table and one of two columns": (
        {"a.csv": "id,label\n1,x\n2,y\n3,x\n", "b.csv": "id,light\n1,good\n2,good\n3,bad\n"},
        {"1.jpg": ("x", None), "2.jpg": ("y", None), "3.jpg": ("x", None)},
        {},
        ["Table not used: b.csv (the columns of another table are clearer)"],
    ),
    "one table of two columns": (
        {"b.csv": "id,has_cactus\n1,1\n2,1\n3,0\n4,0\n"},
        {"1.jpg": ("1", None), "2.jpg": ("1", None), "3.jpg": ("0", None), "4.jpg": ("0", None)},
        {},
        ["Table b.csv: images from 'id', classes from 'has_cactus'"],
    ),
    "class folders, and a table of a few of the images": (
        {"a.csv": "image,label\n1.jpg,x\n3.jpg,x\n"},
        {f"{'ab'[i // 2]}/{i + 1}.jpg": ("ab"[i // 2], None) for i in range(4)}
        | {"b/5.jpg": ("b", None)},
        {},
        ["The table a.csv is not used", "(the folders are the classes)"],
    ),
    "class folders, and tables in contradiction": (
        {"a.csv": "image,label\n1.jpg,x\n2.jpg,y\n", "b.csv": "image,label\n1.jpg,y\n2.jpg,x\n"},
        {"a/1.jpg": ("a", None), "b/2.jpg": ("b", None)},
        {},
        ["Table not used: a.csv (the folders are", "Table not used: b.csv (the folders are"],
    ),
    "such a table in each split": (
        {
            "train/_classes.csv": "filename, cat, dog\n1.jpg, 0, 1\n2.jpg, 1, 0\n",
            "valid/_classes.csv": "filename, cat, dog\n1.jpg, 1, 0\n",
            "test/_classes.csv": "filename, cat, dog\n1.jpg, 0, 1\n",
        },
        {
            "train/1.jpg": ("dog", "train"),
            "train/2.jpg": ("cat", "train"),
            "valid/1.jpg": ("cat", "val"),
            "test/1.jpg": ("dog", "test"),
        },
        {},
        [],
    ),
    "numbers with a point, the images last": (
        {"Task3_GroundTruth.csv": "MEL,NV,BKL,image\n1.0,0.0,0.0,I1\n0.0,1.0,0.0,I2\n"},
        {"part/I1.jpg": ("MEL", None), "part/I2.jpg": ("NV", None)},
        {},
        [],
    ),
    "no class or two are marked": (
        {"labels.csv": "image,a,b,c\n1,1,0,0\n2,0,0,0\n3,1,1,0\n4,0,0,1\n5,0,.5,.5\n"},
        {f"{i}.png": (x, None) for i, x in zip("12345", ("a", None, None, "c", None), strict=True)},
        {},
        [
            "1 in the table without a class, and left unlabeled, such as row 3: 2",
            "1 in the table with several classes, and left unlabeled, such as row 4: 3",
            "1 in the table with other values than 0 and 1, and left unlabeled, such as row 6: 5",
        ],
    ),
    "a class called train": (
        {"labels.csv": "image,bus,train\n1,0,1\n2,1,0\n3,0,1\n"},
        {"1.png": ("train", None), "2.png": ("bus", None), "3.png": ("train", None)},
        {},
        [],
    ),
    "a mark called test": (
        {"labels.csv": "image,bus,car,test\n1,0,1,0\n2,1,0,1\n3,0,1,0\n"},
        {"1.png": ("car", "train"), "2.png": ("bus", "test"), "3.png": ("car", "train")},
        {},
        [],
    ),
    "splits in some rows only": (
        {"a.csv": "image,label,split\n1.png,a,train\n2.png,b,\n3.png,a,later\n4.png,b,val\n"},
        {
            "1.png": ("a", "train"), "2.png": ("b", None), "3.png": ("a", None),
            "4.png": ("b", "val"),
        },
        {},
        ["The column 'split' of a.csv contains 'later' (1), which are not splits"],
    ),
    "other headers, in any case": (
        {
            "data.tsv": "\tImage Index\tFinding Labels\tSubset\n"
            "0\ta.png\tx\tTRAIN\n1\tb.png\ty\tdev\n"
        },
        {"a.png": ("x", "train"), "b.png": ("y", "val")},
        {},
        ["images from 'Image Index', classes from 'Finding Labels', splits from 'Subset'"],
    ),
    "whales: Image, Id": (
        {"train.csv": "Image,Id\na.jpg,w_1\nb.jpg,w_2\n"},
        {"train/a.jpg": ("w_1", "train"), "train/b.jpg": ("w_2", "train")},
        {},
        [],
    ),
    "names before numbers": (
        {
            "birds.csv": "class id,filepaths,labels,data set\n"
            "0,train/A/1.jpg,owl,train\n1,2.jpg,tit,valid\n"
        },
        {"train/A/1.jpg": ("owl", "train"), "2.jpg": ("tit", "val")},
        {},
        ["images from 'filepaths', classes from 'labels', splits from 'data set'"],
    ),
    "columns that are named": (
        {"a.csv": "Dateiname;Kategorie;Teil\n1.jpg;Hund;Training\n2.jpg;Katze;Test\n"},
        {"1.jpg": ("Hund", "train"), "2.jpg": ("Katze", "test")},
        {"image_column": "Dateiname", "label_column": "kategorie", "split_column": "Teil"},
        [],
    ),
    "bars, a first line for Excel and a note in two lines": (
        {"a.csv": 'sep=|\nfile|note|class\n1.jpg|"two\nlines, or ""so"""|dog\n2.jpg||cat\n'},
        {"1.jpg": ("dog", None), "2.jpg": ("cat", None)},
        {},
        [],
    ),
    "paths of Windows": (
        {
            "a.csv": "path,label\nC:\\Users\\x\\data\\cat\\1.jpg,Cat\nD:\\dog\\1.jpg,Dog\n"
            "\\\\pc\\all\\2.jpg,Cat\n"
        },
        {"cat/1.jpg": ("Cat", None), "dog/1.jpg": ("Dog", None), "2.jpg": ("Cat", None)},
        {"label_from": "table"},
        [],
    ),
    "paths of a notebook, of the folder itself and of a table beside": (
        {
            "labels/all.csv": "path,label\n../input/x/1.jpg,a\n./x/2.jpg,b\n../x/3.jpg,a\n"
            "/kaggle/x/4.jpg,b\n"
        },
        {
            "x/1.jpg": ("a", None), "x/2.jpg": ("b", None), "x/3.jpg": ("a", None),
            "x/4.jpg": ("b", None),
        },
        {},
        [],
    ),
    "case, accents and extensions differ": (
        {"a.csv": f"image,label\nIMG_1,a\nCaf{ACCENT}.JPG,b\nx.y,a\n"},
        {"img_1.JPG": ("a", None), "cafe\u0301.jpg": ("b", None), "X.y.png": ("a", None)},
        {},
        [],
    ),
    "a name that several images have": (
        {"a.csv": "image,label\n1,x\na/2.jpg,y\nB.jpg,x\n"},
        {
            "a/1.jpg": (None, None), "b/1.jpg": (None, None), "a/2.jpg": ("y", None),
            "b/2.jpg": (None, None), "b.jpg": (None, None), "B.jpg": ("x", None),
        },
        {"label_from": "table"},
        ["1 in the table, but several images have this name, such as row 2: 1"],
    ),
    "the table's name says which of several images": (
        {"train_labels.csv": "name,invasive\n1,0\n2,1\n3,1\n4,0\n"},
        {
            **{f"train/{i}.jpg": (x, "train") for i, x in zip("1234", "0110", strict=True)},
            "test/1.jpg": (None, "test"), "test/2.jpg": (None, "test"),
        },
        {},
        [],
    ),
    "rows twice, and in contradiction": (
        {"a.csv": "image,label\n1.jpg,x\n1.jpg,x\n2.jpg,y\n2.jpg,x\n9.jpg,x\n8.jpg,y\n\n3.jpg,\n"},
        {f"{i}.jpg": (x, None) for i, x in zip("1234", ("x", "y", None, None), strict=True)},
        {},
        [
            "Repeated in a.csv: 1 row (row 3: 1.jpg)",
            "Left out: 1 in the table twice, with other labels, such as row 5: 2.jpg",
            "Left out: 2 in the table, but there is no such image, such as row 6: 9.jpg",
            "2 images have no class",
            "1 image has no row in a table, such as 4.jpg",
        ],
    ),
    "a row with a comma too many": (
        {"a.csv": "image,label\n1.jpg,red, ripe\n2.jpg,green,\n3.jpg,green\n"},
        {"1.jpg": (None, None), "2.jpg": ("green", None), "3.jpg": ("green", None)},
        {},
        ["1 in the table with more cells than its header, such as row 2: 1.jpg"],
    ),
    "is_test": (
        {"a.csv": "id,label,is_test\n1,x,0\n2,y,1\n3,x,\n"},
        {"1.jpg": ("x", "train"), "2.jpg": ("y", "test"), "3.jpg": ("x", None)},
        {},
        ["splits from 'is_test'"],
    ),
    "is_train": (
        {"a.csv": "id,label,Is_Train\n1,x,True\n2,y,False\n"},
        {"1.jpg": ("x", "train"), "2.jpg": ("y", "test")},
        {},
        [],
    ),
    "a column for each split": (
        {"a.csv": "id,label,train,dev,test\n1,x,1,0,0\n2,y,0,1,0\n3,x,0,0,1\n4,x,1,1,0\n"},
        {
            "1.jpg": ("x", "train"), "2.jpg": ("y", "val"), "3.jpg": ("x", "test"),
            "4.jpg": ("x", None),
        },
        {},
        ["1 rows have no split or two, by 'train', 'dev', 'test'"],
    ),
    "folds": (
        {"a.csv": "id,label,fold\n1,x,0\n2,y,1\n3,x,0\n"},
        {"1.jpg": ("x", None), "2.jpg": ("y", None), "3.jpg": ("x", None)},
        {},
        ["The column 'fold' of a.csv contains '0' (2), '1' (1). It is not used: train, val"],
    ),
    "folds that are splits, and a phase": (
        {"a.csv": "id,label,phase,fold\n1,x,1,train\n2,y,2,val\n"},
        {"1.jpg": ("x", "train"), "2.jpg": ("y", "val")},
        {},
        ["The column 'phase' of a.csv contains '1' (1), '2' (1). It is not used"],
    ),
    "some words that are no splits": (
        {"a.csv": "id,label,set\n1,x,Training set\n2,y,extra\n3,x,eval\n"},
        {"1.jpg": ("x", "train"), "2.jpg": ("y", None), "3.jpg": ("x", "val")},
        {},
        ["The column 'set' of a.csv contains 'extra' (1), which are not splits: train"],
    ),
    "evaluation beside validation": (
        {"a.csv": "id,label,split\n1,x,train\n2,y,eval\n3,x,dev\n4,y,Evaluation\n"},
        {
            "1.jpg": ("x", "train"), "2.jpg": ("y", "test"), "3.jpg": ("x", "val"),
            "4.jpg": ("y", "test"),
        },
        {},
        [],
    ),
    "folders that are all splits by name, and a table": (
        {"labels.csv": "image_id,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(6))},
        {
            f"{'train' if i < 4 else 'test'}_images/{i}.jpg": (
                "ab"[i % 2], "train" if i < 4 else "test"
            )
            for i in range(6)
        },
        {},
        [],
    ),
    "valid says something else": (
        {"a.csv": "id,label,valid\n1,x,1\n2,y,0\n"},
        {"1.jpg": ("x", None), "2.jpg": ("y", None)},
        {},
        ["The column 'valid' of a.csv contains '1' (1), '0' (1). It is not used"],
    ),
    "a split that the folder contradicts": (
        {"a.csv": "image,label,split\n1.jpg,x,test\n2.jpg,y,train\n"},
        {"train/1.jpg": ("x", "test"), "train/2.jpg": ("y", "train")},
        {},
        ["1 image is in the folder of another split than in a.csv, which is used (row 2: "],
    ),
    "a table for each split, and others": (
        {
            "train.csv": "image_id,label\n1,x\n2,y\n",
            "test.csv": "image_id,label\n3,x\n",
            "sample_submission.csv": "image_id,label\n3,y\n4,y\n",
            "sizes.csv": "image_id,width,height\n1,640,480\n",
        },
        {"im/1.jpg": ("x", "train"), "im/2.jpg": ("y", "train"), "im/3.jpg": ("x", "test"),
         "im/4.jpg": (None, None)},
        {},
        [
            "Table not used: sample_submission.csv (it looks like a template for submissions)",
            "Table not used: sizes.csv (it has the columns 'image_id', 'width', 'height': none of",
        ],
    ),
    "test images without labels": (
        {"train.csv": "id,label\n1,x\n2,y\n", "test.csv": "id\n3\n"},
        {
            "train/1.jpg": ("x", "train"), "train/2.jpg": ("y", "train"),
            "test/3.jpg": (None, "test"),
        },
        {},
        ["Table not used: test.csv (it has the columns 'id': none of them is known to hold"],
    ),
    "parts of a dataset, which are no classes": (
        {
            "meta.csv": "lesion,image_id,dx,age\n"
            + "".join(f"L{i},I{i},{'nv' if i % 3 else 'mel'},50\n" for i in range(12))
        },
        {f"part_{i // 6 + 1}/I{i}.jpg": ("nv" if i % 3 else "mel", None) for i in range(12)},
        {},
        ["The folders are not classes: each contains images of several classes of the table"],
    ),
    "class folders, and a table of breeds": (
        {"a.csv": "image,breed\n1.jpg,pug\n2.jpg,poodle\n3.jpg,manx\n4.jpg,manx\n"},
        {"dog/1.jpg": ("dog", None), "dog/2.jpg": ("dog", None), "cat/3.jpg": ("cat", None),
         "cat/4.jpg": ("cat", None)},
        {},
        ["The table a.csv is not used. To use its classes", "(the folders are the classes)"],
    ),
    "class folders for training, and a table of the test images": (
        {"test.csv": "image,label\n4.jpg,Cat\n5.jpg,dog\ntrain/Cat/1.jpg,dog\n"},
        {
            "train/Cat/1.jpg": ("Cat", "train"), "train/dog/2.jpg": ("dog", "train"),
            "train/dog/3.jpg": ("dog", "train"), "test/4.jpg": ("Cat", "test"),
            "test/5.jpg": ("dog", "test"),
        },
        {},
        ["2 images in no class folder: the class comes from a table", "Table test.csv: "],
    ),
    "class folders, and a table of other classes of others": (
        {"a.csv": "image,label\n4.jpg,sunny\n5.jpg,dark\n"},
        {
            "Cat/1.jpg": ("Cat", None), "dog/2.jpg": ("dog", None), "4.jpg": (None, None),
            "5.jpg": (None, None), "dog/6.jpg": ("dog", None),
        },
        {},
        ["(the folders are the classes)"],
    ),
    "names of files that are no classes": (
        {"train.csv": "image_id,healthy,rust\nTrain_0,1,0\nTrain_1,0,1\nTrain_2,0,1\n"},
        {
            "images/Train_0.jpg": ("healthy", None), "images/Train_1.jpg": ("rust", None),
            "images/Train_2.jpg": ("rust", None), "images/Test_0.jpg": (None, None),
            "images/Test_1.jpg": (None, None), "images/Test_2.jpg": (None, None),
        },
        {},
        [],
    ),
    "tables of the same images complete each other": (
        {
            "a.csv": "image,label,split\n1.jpg,x,train\n2.jpg,y,val\n3.jpg,,test\n",
            "b.csv": "image,label\n1.jpg,x\n2.jpg,y\n3.jpg,y\n",
            "c.csv": "image,label,split\n3.jpg,y,train\n",
        },
        {"1.jpg": ("x", "train"), "2.jpg": ("y", "val"), "3.jpg": ("y", "test")},
        {},
        [],
    ),
    "formulas and a path that leads out are texts": (
        {"a.csv": "image,label\n1.jpg,=1+1\n2.jpg,@SUM(A1)\n../../etc/passwd,x\n/etc/hostname,y\n"},
        {"1.jpg": ("=1+1", None), "2.jpg": ("@SUM(A1)", None)},
        {},
        ["2 in the table, but there is no such image, such as row 4: ../../etc/passwd"],
    ),
    "a label in two lines, and one with a zero byte": (
        {"a.csv": 'image,label\n1.jpg,"a\nb"\n2.jpg,a\n3.jpg,b\n4.jpg,c\x07\n'},
        {"1.jpg": (None, None), "2.jpg": ("a", None), "3.jpg": ("b", None), "4.jpg": (None, None)},
        {},
        ["2 in the table with a line break or a control character in its label, such as row 2"],
    ),
}  # fmt: skip
